"""Which workers there are, and where: the choice among the kinds of pools.

Ray, the processes and the threads are each imported when they are asked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Sequence
from typing import Any, Literal, cast, get_args

from nversion.device import resolve_device
from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.workers.in_process import InProcessPool
from nversion.workers.number import resolve_workers
from nversion.workers.pool import Pool
from nversion.workers.task import Task

__all__ = ["Engine", "Where", "check_engine", "open_pool", "run_tasks"]

Engine = Literal["auto", "processes", "threads", "ray"]
"""What runs the workers: processes of this machine, threads of this process, or a Ray cluster;
"auto" is threads for work on a graphics card and processes otherwise."""


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
        return InProcessPool()
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


def run_tasks(tasks: Sequence[Task], workers: int = 1) -> Generator[tuple[int, Any], None, None]:
    """Run the tasks in a pool of their own; see :meth:`Pool.run`.

    A single task runs in this process.
    """
    number = min(workers, max(len(tasks), 1))
    with open_pool(number) as pool, contextlib.closing(pool.run(tasks)) as results:
        yield from results
