"""What every pool shares: tasks are handed out one by one, and tried again if a worker dies."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import os
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import Any, Literal, cast, get_args

from nversion.device import resolve_device
from nversion.errors import InputError, WorkerKilledError
from nversion.naming import did_you_mean
from nversion.workers.task import Failure, Task, run_task

__all__ = [
    "KILLED",
    "Engine",
    "Pool",
    "Where",
    "check_engine",
    "open_pool",
    "resolve_workers",
    "run_tasks",
]

Engine = Literal["auto", "processes", "threads", "ray"]
"""What runs the workers: processes of this machine, threads of this process, or a Ray cluster;
"auto" is threads for work on a graphics card and processes otherwise."""

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


class _Here(Pool):
    """Runs one task after the other in this process."""

    workers = 1
    here = True

    def __init__(self) -> None:
        self._task: tuple[int, Task] | None = None

    def close(self) -> None:
        """There is nothing to let go."""

    def _start(self, index: int, task: Task) -> None:
        self._task = (index, task)

    def _next(self) -> tuple[int, Any]:
        assert self._task is not None
        index, task = self._task
        return index, run_task(task)

    def _abandon(self) -> None:
        self._task = None


def open_pool(workers: int | str = "auto", engine: Engine = "auto", address: str = "") -> Pool:
    """Return a pool; its processes start when the first tasks come.

    Args:
        workers: how many, or "auto" for one per core (of the cluster, with Ray); one worker is this
            process itself, unless the engine is Ray.
        engine: where they are.
        address: of a running Ray cluster; "" starts Ray on this machine.

    Raises:
        InputError: an argument is wrong.
        MissingExtraError: the engine is Ray and it is not installed.
        NVersionError: the cluster cannot be reached.
    """
    check_engine(engine, address)
    if engine == "ray":
        from nversion.workers.cluster import RayPool

        return RayPool(None if workers == "auto" else resolve_workers(workers), address)
    number = resolve_workers(workers)
    if number == 1:
        return _Here()
    if engine == "threads":
        from nversion.workers.threads import ThreadPool

        return ThreadPool(number)
    from nversion.workers.processes import ProcessPool

    return ProcessPool(number)


@dataclasses.dataclass(frozen=True)
class Where:
    """Where work runs, decided before it is known how much there is.

    Attributes:
        workers: how many, or "auto".
        engine: see :data:`Engine`; "auto" is processes here.
        address: of a running Ray cluster; "" starts Ray on this machine.
    """

    workers: int | str = "auto"
    engine: Engine = "auto"
    address: str = ""

    @classmethod
    def of(cls, workers: int | str, engine: str, address: str, device: str = "cpu") -> Where:
        """Return where work runs, checked.

        Args:
            workers: how many, or "auto".
            engine: see :data:`Engine`.
            address: of a running Ray cluster, or "".
            device: where networks compute: "cpu", "cuda" or "auto".

        Raises:
            InputError: one of them is wrong, or there is no such device.
        """
        resolve_workers(workers)
        chosen = check_engine(engine, address)
        if chosen == "auto":
            chosen = "threads" if resolve_device(device).type == "cuda" else "processes"
        return cls(workers, chosen, address)

    def pool(self, tasks: int) -> Pool:
        """Return a pool for so many tasks: without Ray, a single one runs in this process."""
        if self.engine == "ray":
            return open_pool(self.workers, self.engine, self.address)
        number = min(resolve_workers(self.workers), max(tasks, 1))
        return open_pool(number, self.engine, self.address)


def check_engine(engine: str, address: str = "") -> Engine:
    """Return `engine` if it is one.

    Raises:
        InputError: it is none of them, or there is an address without Ray.
    """
    if engine not in get_args(Engine):
        hint = did_you_mean(engine, get_args(Engine))
        raise InputError(f"engine must be auto, processes, threads or ray, not {engine!r}{hint}")
    if address and engine != "ray":
        raise InputError("an address belongs to a Ray cluster; add --engine ray")
    return cast(Engine, engine)


def resolve_workers(workers: int | str) -> int:
    """Return a number of workers for "auto" (one per core this process may use) or a number.

    Raises:
        InputError: it is neither "auto" nor a whole number of at least 1.
    """
    if workers == "auto":
        return _cores()
    try:
        number = int(workers)
    except ValueError:
        number = 0
    if number < 1:
        raise InputError(f"workers must be auto or a number of at least 1, not {workers!r}")
    return number


def run_tasks(tasks: Sequence[Task], workers: int = 1) -> Generator[tuple[int, Any], None, None]:
    """Run the tasks in a pool of their own; see :meth:`Pool.run`.

    A single task runs in this process.
    """
    with open_pool(min(workers, max(len(tasks), 1))) as pool, _closing(pool.run(tasks)) as results:
        yield from results


@contextlib.contextmanager
def _closing(results: Generator[Any, None, None]) -> Iterator[Iterator[Any]]:
    try:
        yield results
    finally:
        results.close()


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _killed(times: int) -> WorkerKilledError:
    return WorkerKilledError(
        f"its worker process was killed {times} times (by a signal, or because memory ran out)"
    )
