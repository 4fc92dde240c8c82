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
from nversion.study.ledger import Entry, Ledger, Unit, run_unit
from nversion.workers import Failure, Pool, open_pool

__all__ = ["Engine"]

FINAL_FAILURES = ("TrainingError",)
"""Errors that would come again: such a unit counts as done, and failed."""


class Engine:
    """Runs units for one study.

    Args:
        folder: the study's, locked.
        pool: where the units run.
        say: called with a line of text when something begins, is kept, remade or fails.

    Attributes:
        failures: (unit, error) of every unit that failed, in the order of the units.
    """

    def __init__(self, folder: StudyFolder, pool: Pool, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._ledger = Ledger(folder.root)
        self._pool = pool
        self._say = say
        self.failures: list[tuple[str, str]] = []
        if self._ledger.damaged:
            say(
                f"the journal has {self._ledger.damaged} damaged line(s); "
                "what they were about is made again"
            )

    @contextlib.contextmanager
    def sharing(self, data: Dataset) -> Iterator[SharedDataset]:
        """Lend a dataset in the form that reaches all workers, for the time of the block."""
        if self._pool.here:
            yield SharedDataset.of(data)
            return
        place = self._folder.shared_data
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
        for place in {(self._folder.root / o).parent for unit in missing for o in unit.outputs}:
            remove_leftovers(place)
        errors: dict[str, str] = {}
        missing = sorted(missing, key=lambda unit: -unit.cost)
        tasks = (
            (run_unit, {"function": unit.function, "arguments": unit.arguments}) for unit in missing
        )
        # A single unit is not worth a process of its own, unless work belongs on a cluster.
        alone = len(missing) == 1 and not self._pool.remote
        pool = open_pool(1) if alone else self._pool
        with (
            progress_bar(description, len(missing)) as advance,
            contextlib.closing(pool.run(tasks, lambda n: self._retry(missing[n]))) as results,
        ):
            for index, result in results:
                unit = missing[index]
                if not isinstance(result, Failure):
                    entries[unit.name] = self._ledger.record(unit, result)
                elif result.kind == "DiskFullError":
                    raise DiskFullError(result.message)
                elif result.kind in FINAL_FAILURES:
                    entries[unit.name] = self._ledger.record(unit, 0.0, str(result))
                else:
                    errors[unit.name] = str(result)
                    self._ledger.record_traceback(unit, result.traceback)
                advance()
        return errors

    def _retry(self, unit: Unit) -> None:
        self._say(
            f"{unit.name}: its worker process was killed (by a signal, or because memory ran "
            "out); trying once more in a new one"
        )

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's wall-clock time to the stage's in the study's timings."""
        started = time.perf_counter()
        try:
            yield
        finally:
            timings = self.timings()
            timings[name] = timings.get(name, 0.0) + time.perf_counter() - started
            write_json(self._folder.timings, timings)

    def timings(self) -> dict[str, float]:
        """Return wall-clock seconds by stage, added up over all runs of this study."""
        try:
            found = read_object(self._folder.timings)
        except ArtefactError:
            return {}
        return {name: seconds for name, seconds in found.items() if isinstance(seconds, float)}
