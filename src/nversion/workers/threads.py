"""A pool of threads in this process, for work that a graphics card does.

Processes take turns on a card, and each keeps a context there; threads share one, and what they
start runs at the same time, each on a stream of its own. Python lets one of them run at a time,
which matters little while they wait for the card.

On a processor they work too, with the same results, but get in each other's way.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from nversion.workers.pool import Pool
from nversion.workers.task import Task, run_task

__all__ = ["ThreadPool"]


class ThreadPool(Pool):
    """Threads of this process."""

    here = True
    parallel = False

    def __init__(self, workers: int) -> None:
        self.workers = workers
        # The number of threads an operation uses is the whole process's in part: tasks, which set
        # and restore it, must all find the same.
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        self._executor = concurrent.futures.ThreadPoolExecutor(workers, "worker", _prepare)
        self._futures: dict[concurrent.futures.Future[Any], int] = {}

    def close(self) -> None:
        """Wait for the threads; a task that one is at is finished first."""
        self._executor.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(self._before)

    def _start(self, index: int, task: Task) -> None:
        self._futures[self._executor.submit(_run, task)] = index

    def _next(self) -> tuple[int, Any]:
        done, _ = concurrent.futures.wait(
            self._futures, return_when=concurrent.futures.FIRST_COMPLETED
        )
        future = next(iter(done))
        return self._futures.pop(future), future.result()

    def _abandon(self) -> None:
        """Let nothing more begin; a thread cannot be stopped in what it is doing."""
        for future in self._futures:
            future.cancel()
        self._futures = {}


def _prepare() -> None:
    torch.set_num_threads(1)


def _run(task: Task) -> Any:
    with _own_stream():
        return run_task(task)


@contextlib.contextmanager
def _own_stream() -> Iterator[None]:
    """Run the block on a new stream of the card, if there is one, and wait for it at the end."""
    if not torch.cuda.is_available():
        yield
        return
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(stream):
        yield
        stream.synchronize()
