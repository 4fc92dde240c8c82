"""Small networks to attack, trained once per session on scikit-learn's digits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn


class Victim(NamedTuple):
    """A trained network with test images that it classifies correctly."""

    model: nn.Module
    images: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        return f"Victim({len(self.labels)} images)"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Use one thread: on networks this small, more only get in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def digits() -> tuple[Tensor, Tensor]:
    """Return images float32 [1797, 1, 8, 8] on the 8-bit grid, and labels."""
    bunch = load_digits()
    images = torch.tensor(bunch.images, dtype=torch.float32)[:, None] / 16.0
    return (images * 255.0).round() / 255.0, torch.tensor(bunch.target, dtype=torch.int64)


def trained(build: Callable[[], nn.Module], epochs: int = 20) -> Victim:
    images, labels = digits()
    train, rest = slice(0, 1500), slice(1500, None)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build()
        optimiser = torch.optim.Adam(model.parameters(), 3e-3)
        for _ in range(epochs):
            for batch in torch.randperm(1500).split(64):
                loss = nn.functional.cross_entropy(model(images[train][batch]), labels[batch])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
    model.eval()
    with torch.no_grad():
        correct = model(images[rest]).argmax(dim=1) == labels[rest]
    assert correct.float().mean() > 0.85
    return Victim(model, images[rest][correct], labels[rest][correct])


@pytest.fixture(scope="session")
def dense() -> Victim:
    """A dense network, 64-32-32-10."""
    return trained(
        lambda: nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 32), nn.ReLU(),
            nn.Linear(32, 32), nn.ReLU(),
            nn.Linear(32, 10),
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def convolutional() -> Victim:
    """A network with every layer of the catalogue, and batch normalisation."""
    return trained(
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(),
            nn.Conv2d(6, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
            nn.Flatten(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 10),
        ),
        epochs=10,
    )  # fmt: skip
