"""Small random networks of every layer kind, for the tests beside this file."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from nversion.certification import MarginBounds, certify, margin_bounds
from nversion.certification.arithmetic import Arithmetic
from nversion.certification.network.graph import Network
from nversion.errors import UnsupportedModuleError

SHAPE = (2, 8, 8)
CLASSES = 4


class Block(nn.Module):
    """A residual block, with a projection or without."""

    def __init__(self, channels: int, project: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.skip = nn.Conv2d(channels, channels, 1) if project else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(torch.relu(self.norm(self.first(x))))
        return torch.relu(inner + self.skip(x))


def build(name: str) -> nn.Module:
    layers: dict[str, list[nn.Module]] = {
        "dense": [nn.Flatten(), nn.Linear(128, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU()],
        "leaky": [nn.Flatten(), nn.Linear(128, 12), nn.LeakyReLU(0.2), nn.Linear(12, 8)],
        "curves": [
            nn.Conv2d(2, 3, 3), nn.Sigmoid(), nn.Conv2d(3, 3, 3), nn.Tanh(), nn.Flatten()
        ],
        "conv": [
            nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3),
            nn.ReLU(), nn.Flatten(),
        ],
        "strided": [
            nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(4, 6, 3, padding=2, dilation=2, groups=2), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 4, 2, stride=2, padding=1), nn.ReLU(), nn.Flatten(),
        ],
        "pooled": [
            nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 2), nn.ReLU(), nn.MaxPool2d(2),
            nn.Dropout(0.5), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(),
        ],
        "deep pools": [
            nn.Conv2d(2, 4, 3, padding=1), nn.MaxPool2d(2), nn.ReLU(),
            nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(5, 4, 2),
            nn.ReLU(), nn.Flatten(),
        ],
        "bare pool": [nn.MaxPool2d(2), nn.Conv2d(2, 4, 3), nn.MaxPool2d(2), nn.Flatten()],
        "overlapping pool": [
            nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(4, 3, 2), nn.MaxPool2d(2, stride=1), nn.Flatten(),
        ],
        "average": [
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 3, 3),
            nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        ],
        "residual": [nn.Conv2d(2, 3, 3), nn.ReLU(), Block(3, False), Block(3, True), nn.Flatten()],
        "uneven": [
            nn.Conv2d(2, 3, 2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 3, 2), nn.LeakyReLU(0.1),
            nn.Flatten(), nn.Linear(12, 7), nn.ReLU(),
        ],
        "image relu": [nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten()],
    }  # fmt: skip
    body = nn.Sequential(*layers[name])
    body.eval()
    width = body(torch.zeros(1, *SHAPE)).shape[1]
    return nn.Sequential(*layers[name], nn.Linear(width, CLASSES))


NAMES = (
    "dense", "leaky", "curves", "conv", "strided", "pooled", "deep pools", "bare pool",
    "overlapping pool", "average", "residual", "uneven", "image relu",
)  # fmt: skip


def network(name: str, seed: int) -> nn.Module:
    """Return a network with random weights and random statistics, in evaluation mode."""
    torch.manual_seed(seed)
    model = build(name)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0.0, 0.3)
            module.running_var.uniform_(0.3, 2.0)
            nn.init.uniform_(module.weight, -1.5, 1.5)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data.mul_(2.0)
    return model.eval()


def images(count: int, seed: int) -> Tensor:
    """Return images of which many pixels are at the ends of the range, as in MNIST."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(count, *SHAPE, generator=generator) * 1.6 - 0.3
    return x.clamp(0.0, 1.0)


def points(x: Tensor, radii: Tensor, norm: float, box: bool, count: int, seed: int) -> Tensor:
    """Return points of the balls around `x`, [count, images, ...], many on the border."""
    generator = torch.Generator().manual_seed(seed)
    d = torch.randn(count, *x.shape, generator=generator, dtype=x.dtype)
    sparse = torch.rand(d.shape, generator=generator) < torch.rand(
        (count, 1, 1, 1, 1), generator=generator
    )
    d = torch.where(sparse, d, torch.zeros_like(d))
    flat = d.flatten(2)
    if norm == 1.0:
        keep = flat.abs().argsort(dim=2, descending=True).argsort(dim=2)
        flat = flat * (keep < torch.randint(1, 9, (count, 1, 1), generator=generator))
        size = flat.abs().sum(dim=2)
    elif norm == 2.0:
        size = flat.norm(dim=2)
    else:
        flat = flat.sign()
        size = flat.abs().amax(dim=2)
    share = torch.rand(count, x.shape[0], generator=generator, dtype=x.dtype).sqrt()
    share[::2] = 1.0
    scale = (1.0 - 1e-12) * radii * share / size.clamp(min=1e-12)
    moved = x + flat.mul(scale[:, :, None]).reshape(d.shape)
    return moved.clamp(0.0, 1.0) if box else moved


SMALL = (1, 4, 4)


def small(seed: int = 0) -> nn.Sequential:
    """Return a small network with a block in it, for images of shape SMALL."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        block = nn.Sequential(nn.Linear(64, 8), nn.ReLU())
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), block, nn.Linear(8, 3)
        ).eval()


def drawn(count: int = 6) -> Tensor:
    """Return random images of shape SMALL."""
    return torch.rand(count, *SMALL, generator=torch.Generator().manual_seed(1))


def assert_refused(model: nn.Module, reason: str) -> None:
    """Every way to a certificate refuses the model."""
    given, labels = drawn(), torch.zeros(6, dtype=torch.int64)
    for method in ("interval", "linear"):
        with pytest.raises(UnsupportedModuleError, match=reason):
            certify(model, given, labels, 2, method=method)
    with pytest.raises(UnsupportedModuleError, match=reason):
        MarginBounds(model, SMALL, 2)
    with pytest.raises(UnsupportedModuleError, match=reason):
        margin_bounds(model, given, labels, torch.zeros(6), 2)


def exact(traced: Network) -> Network:
    """Return a network in float64 whose model is evaluated in float64 too."""
    arithmetic = Arithmetic.of(torch.float64, torch.device("cpu"))
    return dataclasses.replace(traced, arithmetic=arithmetic).to(torch.float64)
