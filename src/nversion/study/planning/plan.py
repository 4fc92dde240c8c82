"""What a study would do: units of work, time, memory and disk, before anything is started.

The counts are exact. Time is an estimate from a short calibration on one core
(:mod:`nversion.study.planning.calibration`), memory and disk from what each stage holds and writes.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

from nversion.datasets import load_dataset
from nversion.study.config import StudyConfig
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Ledger
from nversion.study.planning.calibration import calibrate
from nversion.study.planning.work import StageWork, Work
from nversion.study.stages.adopting import study_sources
from nversion.study.stages.training import study_architectures
from nversion.workers import resolve_workers

__all__ = ["StagePlan", "StudyPlan", "plan_study"]


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        name: of the stage.
        units: pieces of work.
        done: of these, how many the folder's journal knows; their files are checked by the run.
        seconds: of one core for all units, estimated.
        wall_seconds: of the whole stage with the study's workers, for what is not done.
    """

    name: str
    units: int
    done: int
    seconds: float
    wall_seconds: float


@dataclasses.dataclass(frozen=True)
class StudyPlan:
    """A study, before it runs.

    Attributes:
        stages: in their order.
        workers: processes that share the work.
        at_least: attacks that the calibration cut short; their time is a lower bound.
        memory: bytes, of all processes together, estimated.
        disk: bytes that the study's folder takes in the end, estimated.
        images: in the adversarial set, estimated.
    """

    stages: tuple[StagePlan, ...]
    workers: int
    at_least: tuple[str, ...]
    memory: int
    disk: int
    images: int

    @property
    def wall_seconds(self) -> float:
        """Of the whole study."""
        return sum(stage.wall_seconds for stage in self.stages)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        return {**dataclasses.asdict(self), "wall_seconds": self.wall_seconds}


def plan_study(config: StudyConfig, folder: str | Path) -> StudyPlan:
    """Return what a study would do in `folder`, which is left alone; takes about 20 seconds.

    Raises:
        NVersionError: the dataset or an architecture is at fault.
    """
    data = load_dataset(config.dataset, root=config.data_dir or None)
    architectures = study_architectures(config, data)
    workers = resolve_workers(config.run.workers)
    sources = study_sources(config, data, architectures)
    networks = {name: source.load().model for name, source in sources.items()}
    rates = calibrate(config, data, architectures, networks)
    work = Work(config, data, architectures, rates, tuple(sources))
    done = _done(Path(folder))
    return StudyPlan(
        tuple(_planned(stage, done[stage.name], workers) for stage in work.stages()),
        workers,
        tuple(name for name, rate in rates.attacks.items() if rate.at_least),
        work.memory(workers),
        work.disk(),
        work.images,
    )


def _planned(stage: StageWork, done: int, workers: int) -> StagePlan:
    known = min(done, stage.units)
    rest = 1 - known / stage.units
    wall = max(stage.seconds * rest / workers, min(stage.longest, stage.seconds) * (rest > 0))
    return StagePlan(stage.name, stage.units, known, stage.seconds, wall)


def _done(folder: Path) -> Counter[str]:
    """Return how many units of each stage the journal of a study knows."""
    root = StudyFolder(folder).root
    if not (root / ".units").is_dir():
        return Counter()
    entries = Ledger(root, read_only=True).entries().values()
    return Counter(entry.stage for entry in entries if entry.error is None)
