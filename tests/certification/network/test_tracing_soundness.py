"""What the tracer leaves out or reads later must not change what is certified."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nversion.certification import certify
from nversion.certification.network.tracing import trace
from nversion.errors import UnsupportedModuleError
from nversion.models import predict

SHAPE = (1, 3, 3)


class Tail(nn.Module):
    """A hidden layer, and then whatever is given."""

    def __init__(self, tail: Callable[..., Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(9, 4)
        self.other = nn.Linear(9, 4)
        self.tail = tail

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.tail.__code__.co_argcount == 2:
            return self.tail(self.first(x), self.other(x))
        return self.tail(self.first(x))


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(dim=1, keepdim=True)


def _log(x: Tensor) -> Tensor:
    return functional.log_softmax(x, dim=1)


HARMLESS: dict[str, Callable[..., Tensor]] = {
    "closing": _log,
    "twice": lambda x: _log(_log(x)),
    "scaled": lambda x: _log(x) * 3.0 - 1.0,
    "scaled by equal numbers": lambda x: _log(x) * torch.full((1, 4), 2.0),
    "shifted class by class": lambda x: _log(x) + torch.arange(4.0)[None],
    "turned round": lambda x: 1.0 - _log(x),
    "mean": lambda x, y: (_log(x) + _log(y)) / 2,
    "beside logits": lambda x, y: _log(x) + y,
    "dropout": lambda x: functional.dropout(_log(x), 0.5, training=False),
}

HARMFUL: dict[str, Callable[..., Tensor]] = {
    "relu": lambda x: torch.relu(_log(x)),
    "leaky relu": lambda x: functional.leaky_relu(_log(x), 0.1),
    "tanh": lambda x: torch.tanh(_log(x)),
    "class by class": lambda x: _log(x) * torch.tensor([[1.0, 2.0, 1.0, 1.0]]),
    "later": lambda x: torch.relu(_log(x) + 1.0),
    "after a sum": lambda x, y: torch.relu(_log(x) + y),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_log_softmax_before_steps_that_keep_margins_is_left_out(name: str) -> None:
    model = Tail(HARMLESS[name]).double()
    images = torch.rand(6, *SHAPE, dtype=torch.float64)
    found = trace(model, SHAPE).forward(images)[-1]
    assert torch.allclose(_centred(found), _centred(model(images)), atol=1e-9)


@pytest.mark.parametrize("name", HARMFUL)
def test_a_log_softmax_before_other_steps_is_refused(name: str) -> None:
    with pytest.raises(UnsupportedModuleError, match="log-softmax 'log_softmax"):
        trace(Tail(HARMFUL[name]), SHAPE)


@pytest.mark.parametrize(
    "after", [nn.Linear(4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Sigmoid()], ids=str
)
def test_a_log_softmax_module_within_the_network_is_named(after: nn.Module) -> None:
    if isinstance(after, nn.BatchNorm1d):
        assert after.running_var is not None
        after.running_var.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.LogSoftmax(1), nn.Identity(), after)
    with pytest.raises(UnsupportedModuleError, match=r"'2' \(LogSoftmax\).*module '4'"):
        trace(model, SHAPE)


def test_no_certificate_is_given_through_a_log_softmax() -> None:
    # Logits that grow alike change no margin before the log-softmax, but the classes after it.
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.LogSoftmax(1), nn.Linear(4, 3))
    images = torch.rand(4, *SHAPE)
    with pytest.raises(UnsupportedModuleError):
        certify(model, images, predict(model, images), 2)


class InPlace(nn.Module):
    """Adds what an in-place step has already changed."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.second = nn.Linear(9, 4), nn.Linear(4, 4)
        self.step = step

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        return self.second(self.step(x)) + x


@pytest.mark.parametrize(
    "step",
    [
        lambda x: functional.relu(x, inplace=True),
        torch.relu_,
        lambda x: x.add_(1.0),
        lambda x: torch.relu_(x.view(-1, 4)),
    ],
    ids=["relu", "relu_", "add_", "through a view"],
)
def test_a_value_that_is_read_again_after_an_in_place_step_is_refused(
    step: Callable[[Tensor], Tensor],
) -> None:
    with pytest.raises(UnsupportedModuleError, match="in place"):
        trace(InPlace(step), SHAPE)


def test_an_in_place_step_whose_input_nobody_reads_again_is_bounded() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 4), nn.ReLU(inplace=True), nn.Linear(4, 3))
    images = torch.rand(6, *SHAPE, dtype=torch.float64)
    found = trace(model, SHAPE).forward(images)[-1]
    assert torch.allclose(found, model.double()(images), atol=1e-9)
