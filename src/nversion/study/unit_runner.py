"""Runs the units of a stage: keeps what is done, makes what is not, survives what fails."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence

from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.errors import ArtefactError, DiskFullError, NVersionError
from nversion.files import read_object, remove_leftovers, write_json
from nversion.progress import progress_bar
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Ledger
from nversion.study.units.base import Unit, run_unit
from nversion.workers import Failure, Pool, open_pool

__all__ = ["UnitRunner"]

FINAL_FAILURES = ("TrainingError",)
"""Errors that would come again: such a unit counts as done, and failed."""


class UnitRunner:
    """Runs units for one study.

    Args:
        folder: the study's, locked.
        pool: where the units run.
        say: called with a line of text when something begins, is kept, remade or fails.

    Attributes:
        folder: the study's.
        failures: (unit, error) of every unit that failed, in the order of the units.
        made: how many units were made, not kept.
    """

    def __init__(self, folder: StudyFolder, pool: Pool, say: Callable[[str], None]) -> None:
        self.folder = folder
        self._ledger = Ledger(folder.root)
        self._pool = pool
        self.say = self._say = say
        self.failures: list[tuple[str, str]] = []
        self.made = 0
        self._stage = ""
        self._wall: dict[str, float] = {}
        if self._ledger.damaged:
            say(
                f"the journal has {self._ledger.damaged} damaged line(s); "
                "what they were about is made again"
            )

    @property
    def workers(self) -> int:
        """How many workers share the work."""
        return self._pool.workers

    @contextlib.contextmanager
    def sharing(self, data: Dataset) -> Iterator[SharedDataset]:
        """Lend a dataset in the form that reaches all workers, for the time of the block."""
        if self._pool.here:
            yield SharedDataset.of(data)
            return
        place = self.folder.shared_data
        try:
            yield SharedDataset.stored(data, place)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    @contextlib.contextmanager
    def on_processor(self) -> Iterator[None]:
        """Run the units of the block where the processor is at work, not a card.

        Threads take turns there, and tracing networks is not for several threads at once: in their
        stead the block has as many processes.
        """
        if self._pool.parallel:
            yield
            return
        usual = self._pool
        with open_pool(usual.workers, "processes") as pool:
            self._pool = pool
            try:
                yield
            finally:
                self._pool = usual

    def run(self, description: str, units: Sequence[Unit]) -> dict[str, Entry]:
        """Bring the units up to date and return the entries of those that are done, by name.

        A unit that fails is noted in :attr:`failures` and is not among the entries; an error of
        a kind that would come again is remembered, any other is tried again by the next run.

        Raises:
            DiskFullError: there is no room for what a unit makes; what is done stays done.
        """
        entries: dict[str, Entry] = {}
        missing: list[Unit] = []
        changed = 0
        for unit, check in zip(units, self._ledger.check_all(units), strict=True):
            if check.entry is not None:
                entries[unit.name] = check.entry
                continue
            missing.append(unit)
            changed += check.state == "changed"
            if check.state == "damaged":
                self._say(f"{check.reason}: {unit.name} is made again")
        self._announce(description, len(units), len(missing), changed)
        errors = self._make(description, missing, entries) if missing else {}
        taken = sum(entry.wall for entry in entries.values())
        self._wall[self._stage] = self._wall.get(self._stage, 0.0) + taken
        done = {}
        for unit in units:
            entry = entries.get(unit.name)
            error = errors.get(unit.name) or (entry.error if entry else None)
            if error is not None:
                self.failures.append((unit.name, error))
                self._say(f"{unit.name} failed: {error}")
            elif entry is not None:
                done[unit.name] = entry
        return done

    def require(self, description: str, units: Sequence[Unit]) -> dict[str, Entry]:
        """Like :meth:`run`, for units without which the study cannot go on.

        Raises:
            NVersionError: one failed.
        """
        before = len(self.failures)
        entries = self.run(description, units)
        if len(self.failures) > before:
            name, error = self.failures[before]
            raise NVersionError(f"{name}: {error}")
        return entries

    def _announce(self, description: str, units: int, missing: int, changed: int) -> None:
        if not missing:
            self._say(f"{description}: {units} kept")
            return
        kept = f", {units - missing} kept" if units > missing else ""
        why = f" ({changed} from other settings, data or code)" if changed else ""
        self._say(f"{description}: {missing} to do{why}{kept}")

    def _make(
        self, description: str, missing: Sequence[Unit], entries: dict[str, Entry]
    ) -> dict[str, str]:
        """Make units, add them to the entries, and return the errors of those that failed."""
        for place in {output.parent for unit in missing for output in unit.outputs()}:
            remove_leftovers(place)
        errors: dict[str, str] = {}
        missing = sorted(missing, key=lambda unit: -unit.cost)
        tasks = ((run_unit, {"unit": unit}) for unit in missing)
        # A single unit is not worth a process of its own, unless work belongs on a cluster.
        alone = len(missing) == 1 and not self._pool.remote
        pool = open_pool(1) if alone else self._pool
        with (
            self._spending() as lap,
            progress_bar(description, len(missing)) as advance,
            contextlib.closing(pool.run(tasks, lambda n: self._retry(missing[n]))) as results,
        ):
            for index, result in results:
                unit, wall = missing[index], lap()
                self.made += 1
                if not isinstance(result, Failure):
                    entries[unit.name] = self._record(unit, wall, seconds=result)
                elif result.kind == "DiskFullError":
                    raise DiskFullError(result.message)
                elif result.kind in FINAL_FAILURES:
                    entries[unit.name] = self._record(unit, wall, error=str(result))
                else:
                    errors[unit.name] = str(result)
                    self._ledger.record_traceback(unit, result.traceback)
                advance()
        return errors

    def _record(
        self, unit: Unit, wall: float, seconds: float = 0.0, error: str | None = None
    ) -> Entry:
        return self._ledger.record(unit, seconds, error=error, wall=wall, stage=self._stage)

    def _retry(self, unit: Unit) -> None:
        self._say(
            f"{unit.name}: its worker process was killed (by a signal, or because memory ran "
            "out); trying once more in a new one"
        )

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the work of the block to the stage called `name`."""
        self._stage = name
        self._wall.setdefault(name, 0.0)
        try:
            yield
        finally:
            self._stage = ""

    @contextlib.contextmanager
    def _spending(self) -> Iterator[Callable[[], float]]:
        """Count time as spent, and lend a clock that says how much since it was asked last.

        It counts up to the last unit that ended; where the block is interrupted, up to that, since
        what the interruption throws away has been spent too.
        """
        began = last = time.perf_counter()

        def lap() -> float:
            nonlocal last
            before, last = last, time.perf_counter()
            return last - before

        try:
            yield lap
        except BaseException:
            lap()
            raise
        finally:
            write_json(self.folder.timings, {"spent": self._spent() + last - began})

    def _spent(self) -> float:
        try:
            return float(read_object(self.folder.timings)["spent"])
        except (ArtefactError, KeyError, TypeError, ValueError):
            return 0.0

    def wall_seconds(self) -> dict[str, float]:
        """Return wall-clock seconds by stage, of the work that the present results consist of.

        Whichever run of the study did it: each unit brings the time that it took when it was made.
        """
        return {name: taken for name, taken in self._wall.items() if name}

    def discarded_seconds(self) -> float:
        """Return the wall-clock seconds that went into work these results do not consist of.

        It was interrupted, or made from other settings, data or code. What a run spent that was
        killed outright is not known, so it is at least that long.
        """
        return max(0.0, self._spent() - sum(self._wall.values()))
