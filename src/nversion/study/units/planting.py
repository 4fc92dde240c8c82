"""Plant faults into what the versions answered, and let them vote."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.files import read_tensor, write_json
from nversion.program.faults import default_quorum
from nversion.program.planting import plant_faults
from nversion.program.voters.registry import create_voter
from nversion.study.units.base import MadeFrom, Unit

__all__ = ["PlantFaults"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PlantFaults(Unit):
    """Write what votes decide as more and more versions have one kind of fault.

    Attributes:
        answers: each version's file of logits of the test images, in the study's order.
        labels: int64 [test images].
        rows: int64 [count], the test images that are voted on.
        data: digest of the images.
        kind: of the faults.
        voters: by name.
        counts: numbers of faulty versions.
        orders: random orders in which versions fail.
        seed: of what is drawn.
        path: of the numbers.
    """

    answers: tuple[MadeFrom, ...]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    data: str
    kind: str
    voters: tuple[str, ...]
    counts: tuple[int, ...]
    orders: int
    seed: int
    path: Path

    def run(self) -> None:
        """Let them vote."""
        rows = torch.from_numpy(self.rows)
        logits = torch.stack([read_tensor(one.path, "logits")[rows] for one in self.answers])
        curves = plant_faults(
            logits,
            torch.from_numpy(self.labels)[rows],
            self.voters,
            kinds=[self.kind],
            counts=self.counts,
            orders=self.orders,
            seed=self.seed,
        )
        write_json(
            self.path,
            {
                "images": len(rows),
                "orders": self.orders,
                "quorum": default_quorum(len(logits)),
                "counts": list(self.counts),
                "curves": [curve.to_json() for curve in curves],
            },
        )

    def inputs(self) -> Mapping[str, Any]:
        """Return the answers, the images, the voters, and what is drawn."""
        return {
            "answers": [one.digest for one in self.answers],
            "labels": self.labels,
            "rows": self.rows,
            "data": self.data,
            "kind": self.kind,
            "voters": list(self.voters),
            "counts": list(self.counts),
            "orders": self.orders,
            "seed": self.seed,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the numbers' file."""
        return (self.path,)

    def uses(self) -> tuple[object, ...]:
        """Return the voters, which are found by name."""
        return tuple(create_voter(name) for name in self.voters)
