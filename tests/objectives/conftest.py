"""Small networks in training, as objectives are given them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import nversion as nv
from nversion.objectives import Batch
from nversion.versions.arrangement import arranged

MakeBatch = Callable[..., Batch]

CONV = "conv, 4, relu\nmaxpooling\ndropout, 0.25\nflatten\ndense, 12, relu"
PLAIN = "conv, 4, relu, 3\nflatten\ndense, 12, relu"


@pytest.fixture(scope="session")
def digits() -> nv.Dataset:
    return nv.load_dataset("digits")


@pytest.fixture
def make_batch(digits: nv.Dataset) -> MakeBatch:
    """Make a batch of a network of an architecture, arranged as in training."""

    def make(text: str = CONV, count: int = 16, seed: int = 1, **changes: object) -> Batch:
        architecture = nv.Architecture.parse(text)
        model = architecture.build(digits.shape, digits.classes, seed=seed).train()
        draws = torch.Generator().manual_seed(seed)
        with arranged(model, digits.shape, draws) as network:
            assert isinstance(network, nn.Module)
        labels = digits.train.labels[:count]
        values: dict[str, object] = {
            "network": model,
            "images": digits.train.images[:count],
            "targets": labels,
            "labels": labels,
            "draws": draws,
        }
        return Batch(**{**values, **changes})  # type: ignore[arg-type]

    return make
