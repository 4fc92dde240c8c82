"""Rounding alone keeps no model of any depth or precision from being certified."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from networks import NAMES, SHAPE, SMALL, drawn, images, network, small
from torch import Tensor, fx, nn
from torch.nn import functional

from nversion.certification.network.faithful import faithful_network
from nversion.errors import UnsupportedModuleError


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_no_network_of_any_kind_or_precision_is_refused_for_rounding(
    name: str, dtype: torch.dtype
) -> None:
    faithful_network(network(name, 1).to(dtype), SHAPE, images(70, 1))


def _offset(model: nn.Sequential) -> None:
    """Add a thousand that the next layer takes off again."""
    first, second = model[3][0], model[4]
    assert isinstance(first, nn.Linear)
    assert isinstance(second, nn.Linear)
    with torch.no_grad():
        second.bias -= second.weight.sum(dim=1) * 1e3
        first.bias += 1e3


def _far_mean(model: nn.Sequential) -> None:
    norm = nn.BatchNorm2d(4).eval()
    assert norm.running_mean is not None
    norm.running_mean.fill_(1e5)
    model[0].bias.data.add_(1e5)
    model.insert(1, norm)


@pytest.mark.parametrize("change", [_offset, _far_mean])
def test_cancellation_is_taken_for_rounding(change: Callable[[nn.Sequential], None]) -> None:
    model = small().requires_grad_(False)
    change(model)
    assert (model(drawn()) - model.double()(drawn().double())).abs().max().item() > 1e-5
    faithful_network(model.float(), SMALL, drawn())


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Sigmoid])
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_deep_networks_are_not_refused_for_rounding(
    activation: type[nn.Module], gain: float
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        layers: list[nn.Module] = [nn.Flatten(), nn.Linear(16, 64)]
        for _ in range(15):
            layers += [activation(), nn.Linear(64, 64)]
        model = nn.Sequential(*layers, activation(), nn.Linear(64, 10))
        for parameter in model.parameters():
            parameter.data *= gain
    faithful_network(model, SMALL, drawn())


def test_a_layer_that_is_used_twice_is_the_model() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.step = nn.Linear(16, 4), nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.step(torch.relu(self.first(x.flatten(1)))))
            logits: Tensor = self.step(x)
            return logits

    faithful_network(Twice(), SMALL, drawn())


class Closed(nn.Module):
    """A small network and a last step."""

    def __init__(self, last: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layers, self.last = small(), last

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.layers(x))


def test_a_log_softmax_and_a_masked_class_are_compared_by_their_margins() -> None:
    faithful_network(Closed(lambda x: functional.log_softmax(x, dim=1)), SMALL, drawn())
    mask = torch.tensor([[0.0, 0.0, -1e9]])
    faithful_network(Closed(lambda x: x + mask), SMALL, drawn())
    wrong = Closed(lambda x: (x if isinstance(x, fx.Proxy) else x * 1.01) + mask)
    with pytest.raises(UnsupportedModuleError, match="does not compute"):
        faithful_network(wrong, SMALL, drawn())
