"""Runs the units of a stage: keeps what is done, makes what is not, survives what fails."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

from nversion.errors import ArtefactError, NVersionError
from nversion.files import read_json, write_json
from nversion.progress import progress_bar
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Ledger, Unit, run_unit
from nversion.workers import Failure, run_tasks

__all__ = ["Engine"]

FINAL_FAILURES = ("TrainingError",)
"""Errors that would come again: such a unit counts as done, and failed."""


class Engine:
    """Runs units for one study.

    Attributes:
        failures: (unit, error) of every unit that failed, in the order of the units.
    """

    def __init__(self, folder: StudyFolder, workers: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._ledger = Ledger(folder.root)
        self._workers = workers
        self._say = say
        self.failures: list[tuple[str, str]] = []

    def run(self, description: str, units: Sequence[Unit]) -> dict[str, Entry]:
        """Bring the units up to date and return the entries of those that are done, by name.

        A unit that fails is noted in :attr:`failures` and is not among the entries; an error of
        a kind that would come again is remembered, any other is tried again by the next run.
        """
        entries = {unit.name: self._ledger.entry(unit) for unit in units}
        missing = [unit for unit in units if entries[unit.name] is None]
        errors: dict[str, str] = {}
        if missing:
            self._announce(description, len(units), len(missing))
            self._make(description, missing, entries, errors)
        done = {}
        for unit in units:
            entry = entries[unit.name]
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

    def _announce(self, description: str, units: int, missing: int) -> None:
        kept = units - missing
        self._say(f"{description}: {missing} to do" + (f", {kept} kept" if kept else ""))

    def _make(
        self,
        description: str,
        missing: Sequence[Unit],
        entries: dict[str, Entry | None],
        errors: dict[str, str],
    ) -> None:
        tasks = [
            (run_unit, {"function": unit.function, "arguments": unit.arguments}) for unit in missing
        ]
        with progress_bar(description, len(missing)) as advance:
            for index, result in run_tasks(tasks, self._workers):
                unit = missing[index]
                if not isinstance(result, Failure):
                    entries[unit.name] = self._ledger.record(unit, result)
                elif result.kind in FINAL_FAILURES:
                    entries[unit.name] = self._ledger.record(unit, 0.0, str(result))
                else:
                    errors[unit.name] = str(result)
                    self._ledger.record_traceback(unit, result.traceback)
                advance()

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
            return dict(read_json(self._folder.timings))
        except (ArtefactError, TypeError, ValueError):
            return {}
