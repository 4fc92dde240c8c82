"""Build the adversarial set from the attack runs, and the example to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.adversarial import (
    AttackExample,
    AttackRun,
    PerceptibilityRule,
    SetRecord,
    StoredRuns,
    build,
    choose_example,
    summarise,
)
from nversion.files import write_json

__all__ = ["collect", "make_example"]


def collect(
    runs: Sequence[Path],
    rule: PerceptibilityRule,
    folder: Path,
    facts: Mapping[str, Any],
    summary: Path,
) -> None:
    """Build the adversarial set of all runs, and beside it the table of attacks."""
    stored = StoredRuns(runs)
    adversarial = build(stored, rule)
    adversarial.save(folder)
    table = summarise(stored, rule)
    SetRecord.of(adversarial, table, rule, **facts).save(folder)
    # What the study needs of the runs beside the set, so that it need not read them all again.
    write_json(
        summary,
        {"table": [row.to_json() for row in table], "example": choose_example(stored)},
    )


def make_example(
    runs: Sequence[Path], index: int, original: npt.NDArray[np.float32], path: Path
) -> None:
    """Save what all attacks made of one test image."""
    loaded = [AttackRun.load(file) for file in runs]
    AttackExample.of(loaded, index, torch.from_numpy(original)).save(path)
