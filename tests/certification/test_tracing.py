"""A traced network must compute what the module computes, and refuse what it cannot bound."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nversion.certification.graph import MaxPool
from nversion.certification.tracing import trace
from nversion.errors import UnsupportedModuleError

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
    return {"flat": flat, "pooled": pooled, "averaged": averaged, "residual": Residual()}


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


def test_untraceable_model_is_named() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) if x.sum() > 0 else -x.flatten(1)

    with pytest.raises(UnsupportedModuleError, match="Branching"):
        trace(Branching(), SHAPE)
