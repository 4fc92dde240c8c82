"""A traced network must compute what the module computes, and refuse what it cannot bound."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nversion.certification.network.graph import MaxPool
from nversion.certification.network.tracing import trace
from nversion.errors import InputError, UnsupportedModuleError

SHAPE = (2, 10, 10)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Buffer(torch.full((1, 2, 1, 1), 0.3))
        self.first = nn.Conv2d(2, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.second = nn.Conv2d(3, 3, 3, padding=1)
        self.last = nn.Linear(3 * 25, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.norm(self.first((x - self.mean) / 0.5)))
        x = torch.relu(x + self.second(x))
        x = functional.avg_pool2d(x, 2)
        x = functional.dropout(x, 0.3, self.training)
        return torch.log_softmax(self.last(x.view(x.size(0), -1)), dim=1)


def _models() -> dict[str, nn.Module]:
    flat = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(200), nn.Linear(200, 4))
    pooled = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2),
        nn.BatchNorm2d(4),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(4, 5, 2, padding=1, dilation=1, bias=False),
        nn.LeakyReLU(0.1),
        nn.MaxPool2d(2, stride=1),
        nn.Sigmoid(),
        nn.Flatten(),
        nn.Linear(20, 6),
        nn.Tanh(),
        nn.Linear(6, 4),
    )
    averaged = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)
    )
    parts = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.AvgPool2d(3, padding=1, stride=1, count_include_pad=False, divisor_override=7),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Conv2d(4, 4, 2),
        nn.AdaptiveAvgPool2d((4, 2)),
        nn.Flatten(2),
        nn.Flatten(),
        nn.Linear(32, 4),
    )
    return {
        "flat": flat,
        "pooled": pooled,
        "averaged": averaged,
        "parts": parts,
        "residual": Residual(),
    }


@pytest.mark.parametrize("name", sorted(_models()))
def test_same_function(name: str) -> None:
    torch.manual_seed(1)
    model = _models()[name]
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(8, *SHAPE) * 2)
    model.eval()
    images = torch.rand(5, *SHAPE, dtype=torch.float64)
    network = trace(model, SHAPE)
    logits = network.forward(images)[-1]
    expected = model.double()(images)
    difference = (logits - logits.mean(1, keepdim=True)) - (
        expected - expected.mean(1, keepdim=True)
    )
    assert difference.abs().max() < 1e-12


def test_relu_and_pool_are_fused() -> None:
    network = trace(_models()["pooled"], SHAPE)
    pools = [node for node in network.nodes if isinstance(node, MaxPool)]
    assert [pool.rectified for pool in pools] == [True, False]
    assert len(network.nodes) == 11


def test_model_is_handed_back_as_it_came() -> None:
    model = Residual().train()
    trace(model, SHAPE)
    assert model.training
    assert model.norm.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(200, 4), nn.Softmax(1)), "Softmax.*as_logits"),
        (nn.Sequential(nn.Flatten(), nn.Softmax(1), nn.Linear(200, 4)), "Softmax"),
        (nn.Sequential(nn.Flatten(), nn.Linear(200, 4), nn.Softmax(0)), "Softmax"),
        (nn.Sequential(nn.Flatten(), nn.GELU(), nn.Linear(200, 4)), "GELU"),
        (nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, padding_mode="reflect")), "Conv2d"),
        (nn.Sequential(nn.Conv2d(2, 4, 3)), "logits"),
    ],
)
def test_unsupported_module_is_named(model: nn.Module, named: str) -> None:
    with pytest.raises(UnsupportedModuleError, match=named):
        trace(model, SHAPE)


class Joined(nn.Module):
    """A step that two values that depend on the image go into."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.join = join
        self.left, self.right = nn.Conv2d(2, 2, 3), nn.Conv2d(2, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self.left(x), self.right(x)).flatten(1)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.MaxPool2d(3, 2, ceil_mode=True), "ceil_mode is True.*use ceil_mode=False"),
        (nn.MaxPool2d(2, dilation=2), "dilation is 2, but must be 1"),
        (nn.MaxPool2d(2, return_indices=True), "gives a tuple, not one tensor"),
        (nn.AvgPool2d(3, 2, ceil_mode=True), "ceil_mode is True.*use ceil_mode=False"),
        (nn.AvgPool2d(3, 2, 1, count_include_pad=False), "count_include_pad is False"),
        (nn.AdaptiveAvgPool2d(3), "output_size 3x3 does not divide the 10x10"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "'reflect', but must be 'zeros'"),
        (nn.Conv2d(2, 2, 4, padding="same"), "padding='same' with a kernel of 4x4"),
        (nn.BatchNorm2d(2, track_running_stats=False), "track_running_stats is False"),
        (nn.LeakyReLU(2.0), r"negative_slope is 2, but must lie in \[0, 1\]"),
        (nn.LeakyReLU(-0.1), "negative_slope is -0.1"),
        (nn.Linear(10, 4), r"is given \[2, 10, 10\] for an image; put a Flatten before"),
        (nn.LogSoftmax(3), "its dim is 3"),
        (Joined(lambda a, b: a * b), "both sides depend on the image"),
        (Joined(torch.add), "differ in shape"),
        (Joined(lambda a, b: torch.add(a, b, alpha=2)), "alpha=2"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_the_option_that_is_the_matter_is_named_and_what_would_be_right(
    module: nn.Module, said: str
) -> None:
    with pytest.raises(UnsupportedModuleError, match=said) as caught:
        trace(nn.Sequential(module, nn.Flatten()), SHAPE)
    assert "supported are" not in str(caught.value)


def test_a_model_made_for_other_images_is_refused_by_their_shape() -> None:
    with pytest.raises(InputError, match=r"images of \[2, 10, 10\]"):
        trace(nn.Sequential(nn.Flatten(), nn.Linear(100, 3)), SHAPE)


def test_untraceable_model_is_named() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

    with pytest.raises(UnsupportedModuleError, match="Branching"):
        trace(Branching(), SHAPE)


def test_a_layer_that_a_model_of_layers_has_twice_is_read_twice() -> None:
    torch.manual_seed(0)
    twice = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model = nn.Sequential(nn.Flatten(), twice, nn.Sequential(twice, nn.Linear(8, 3))).eval()
    images = torch.rand(5, 1, 2, 4)
    found = trace(model, (1, 2, 4)).to(torch.float32).forward(images)[-1]
    assert torch.allclose(found, model(images), atol=1e-6)
