"""Measure the versions' accuracy under attack at the usual radii."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nversion.adversarial import StoredRuns
from nversion.evaluation.under_attack import smallest_distances, under_attack
from nversion.files import write_json
from nversion.randomness import numpy_generator

__all__ = ["measure_accuracy_under_attack"]


def measure_accuracy_under_attack(runs: Sequence[Path], seed: int, path: Path) -> None:
    """Write the accuracy under attack at the usual radii that the stored attack runs leave."""
    smallest = smallest_distances(StoredRuns(runs))
    write_json(path, {"rows": under_attack(smallest, numpy_generator(seed, "under attack"))})
