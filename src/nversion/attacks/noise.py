"""Random numbers that belong to an image, not to its place in a batch.

Each image gets a generator of its own, seeded from the seed, the attack's name, the image's
content and its label. So a random attack gives the same result for an image alone, in any batch
and in any order.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nversion.randomness import generator

__all__ = ["Noise"]


class Noise:
    """One random stream per image of a batch.

    Args:
        seed: the caller's seed.
        name: the attack's name, so that two attacks with one seed draw different numbers.
        images: float [count, channels, height, width].
        labels: int64 [count].
    """

    def __init__(self, seed: int, name: str, images: Tensor, labels: Tensor) -> None:
        self._device = images.device
        arrays = images.detach().to(device="cpu", dtype=torch.float32).numpy()
        self._generators = [
            generator(seed, name, np.ascontiguousarray(array).tobytes(), int(label))
            for array, label in zip(arrays, labels, strict=True)
        ]

    def of(self, rows: Tensor) -> Noise:
        """Return the streams of some rows (not copies), numbered anew from 0 in that order."""
        part = Noise.__new__(Noise)  # Its generators are there already, and are not to be seeded.
        part._device = self._device
        part._generators = [self._generators[int(row)] for row in rows]
        return part

    def uniform(self, rows: Tensor, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Return float32 [rows, *shape], uniform in [low, high), from the rows' own streams."""
        draws = [torch.rand(shape, generator=self._generators[int(row)]) for row in rows]
        return (torch.stack(draws) * (high - low) + low).to(self._device)

    def normal(self, rows: Tensor, *shape: int) -> Tensor:
        """Return float32 [rows, *shape], standard normal, from the rows' own streams."""
        draws = [torch.randn(shape, generator=self._generators[int(row)]) for row in rows]
        return torch.stack(draws).to(self._device)

    def integers(self, rows: Tensor, *shape: int, high: int) -> Tensor:
        """Return int64 [rows, *shape], uniform in [0, high), from the rows' own streams."""
        draws = [torch.randint(high, shape, generator=self._generators[int(row)]) for row in rows]
        return torch.stack(draws).to(self._device)
