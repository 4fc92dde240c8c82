"""Randomness from explicit seeds: no global state, and no dependence on order.

A seed for any piece of work is derived from the study's seed and the names of the work, by
SHA-256. So the work can be done in any order, by any number of processes, and be repeated alone.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

__all__ = ["derive_seed", "generator", "numpy_generator"]


def derive_seed(*parts: int | str | bytes) -> int:
    """Return a seed in [0, 2^63) that depends on every part and on their order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(f"{type(part).__name__} {len(data)};".encode())
        digest.update(data)
    return int.from_bytes(digest.digest()[:8], "big") >> 1


def generator(*parts: int | str | bytes) -> torch.Generator:
    """Return a CPU generator seeded with :func:`derive_seed` of the parts."""
    return torch.Generator().manual_seed(derive_seed(*parts))


def numpy_generator(*parts: int | str | bytes) -> np.random.Generator:
    """Return a generator of NumPy's, for what SciPy draws, seeded likewise."""
    return np.random.default_rng(derive_seed(*parts))
