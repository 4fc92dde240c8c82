"""What every pool shares: tasks are handed out one by one, and tried again if a worker dies.

The kinds of pools stand on this module; :mod:`nversion.workers.opening` chooses among them.
"""

from __future__ import annotations

import abc
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable
from typing import Any

from nversion.errors import WorkerKilledError
from nversion.workers.task import Failure, Task

__all__ = ["KILLED", "Pool"]

KILLED = object()
"""Stands for the result of a task whose worker died."""

ATTEMPTS = 2
"""How often a task may take its worker with it before it counts as failed."""


class Pool(abc.ABC):
    """Workers that take tasks; close it (or use it in ``with``) to let them go.

    Attributes:
        workers: how many tasks run at the same time.
        here: whether tasks run in this process, and so share its memory.
        remote: whether workers may be on other machines.
        parallel: whether they do not take turns on a processor (or there is only one).
    """

    workers: int
    here: bool = False
    remote: bool = False
    parallel: bool = True

    def run(
        self, tasks: Iterable[Task], killed: Callable[[int], None] = lambda index: None
    ) -> Generator[tuple[int, Any], None, None]:
        """Run the tasks and yield (index, result or :class:`Failure`) as each one ends.

        Tasks are taken from the iterable as workers become free. A task whose worker dies is tried
        once more; if it dies again, its result is a failure of the kind ``WorkerKilledError``.

        Args:
            tasks: functions that can be pickled, with their arguments.
            killed: called with the index of a task whose worker died and that is tried again.
        """
        waiting, again = enumerate(tasks), deque[tuple[int, Task]]()
        running: dict[int, Task] = {}
        deaths: Counter[int] = Counter()

        def fill() -> None:
            while len(running) < self.workers:
                following = again.popleft() if again else next(waiting, None)
                if following is None:
                    return
                index, task = following
                self._start(index, task)
                running[index] = task

        try:
            fill()
            while running:
                index, result = self._next()
                task = running.pop(index)
                if result is KILLED:
                    deaths[index] += 1
                    if deaths[index] < ATTEMPTS:
                        again.append((index, task))
                        fill()
                        killed(index)
                        continue
                    result = Failure(_killed(ATTEMPTS))
                # Before the caller looks at the result, so that no worker waits for that.
                fill()
                yield index, result
        finally:
            if running:
                self._abandon()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abc.abstractmethod
    def close(self) -> None:
        """Let the workers go."""

    @abc.abstractmethod
    def _start(self, index: int, task: Task) -> None:
        """Hand a task to a free worker."""

    @abc.abstractmethod
    def _next(self) -> tuple[int, Any]:
        """Wait until a task has ended; return its index and result, or KILLED."""

    @abc.abstractmethod
    def _abandon(self) -> None:
        """Stop the tasks in flight at once."""


def _killed(times: int) -> WorkerKilledError:
    return WorkerKilledError(
        f"its worker process was killed {times} times (by a signal, or because memory ran out)"
    )
