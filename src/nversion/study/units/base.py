"""What a unit of work is.

A unit is a piece of a study's work that is kept or made again as a whole. Each kind of unit is a
frozen dataclass in a module of its own: its fields are all that the work takes, so that it can be
pickled and run in any worker.
"""

from __future__ import annotations

import abc
import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["MadeFrom", "Unit", "run_unit"]


@dataclasses.dataclass(frozen=True)
class MadeFrom:
    """A file or folder that a unit reads, and what its result is told apart by.

    Attributes:
        path: where it lies.
        digest: of its content, or of everything that it was made from.
    """

    path: Path
    digest: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Unit(abc.ABC):
    """A piece of a study's work.

    Attributes:
        name: unique in the study, such as "versions/v001".
        cost: how much work it is, in a measure of its stage's own; the dearest is begun first, so
            that no worker is left with a long unit at the end.
    """

    name: str
    cost: float = 0.0

    @abc.abstractmethod
    def run(self) -> None:
        """Do the work, and write the outputs."""

    @abc.abstractmethod
    def inputs(self) -> Mapping[str, Any]:
        """Return what decides the result beside the code: JSON values, arrays and digests.

        It stays as it is from when the unit is checked to when it has run.
        """

    @abc.abstractmethod
    def outputs(self) -> tuple[Path, ...]:
        """Return the files that it writes, all inside the study's folder."""

    def uses(self) -> tuple[object, ...]:
        """Return objects whose code it runs but does not import: what it is handed, or finds.

        An attack, for example, or a voter that is known by its name.
        """
        return ()


def run_unit(unit: Unit) -> float:
    """Run a unit and return the wall-clock seconds it took."""
    started = time.perf_counter()
    unit.run()
    return time.perf_counter() - started
