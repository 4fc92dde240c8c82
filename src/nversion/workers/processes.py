"""A pool of processes on this machine, one loky executor for each.

Loky (Joblib's process pool) starts fresh interpreters, and notices when one dies. An executor of
its own for each process says which task was in it then, and leaves the others alone: one killed
worker costs one unit of work, not all that are in flight.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from typing import Any

import torch
from joblib.externals.loky.process_executor import ProcessPoolExecutor

from nversion.errors import InputError, NVersionError, in_words
from nversion.workers.pool import KILLED, Pool
from nversion.workers.task import ONE_THREAD, Task, run_task

__all__ = ["ProcessPool"]

GUARD_SECONDS = 0.5
"""How often a worker looks whether the process that it works for is still there."""

FILES, FILES_EACH = 12, 8
"""Open files of this process, and of the pipes to each worker and its queues."""

TAKEN_SECONDS = 5.0
"""How long to wait for an executor that starts slowly before it is stopped all the same."""


class ProcessPool(Pool):
    """Single-threaded processes on this machine.

    Args:
        workers: how many.

    Raises:
        InputError: the limit of open files is too low for so many.
    """

    def __init__(self, workers: int) -> None:
        _check_open_files(workers)
        self.workers = workers
        self._executors: list[Any] = [None] * workers
        self._futures: dict[concurrent.futures.Future[Any], tuple[int, int]] = {}

    def close(self) -> None:
        """End the processes."""
        self._until_taken()
        for slot, executor in enumerate(self._executors):
            if executor is not None:
                executor.shutdown(wait=True, kill_workers=bool(self._futures))
                self._executors[slot] = None
        self._futures = {}

    def _start(self, index: int, task: Task) -> None:
        busy = {slot for _, slot in self._futures.values()}
        slot = next(slot for slot in range(self.workers) if slot not in busy)
        try:
            with _quiet_on_ctrl_c():
                future = self._submit(slot, task)
        except OSError as error:
            raise NVersionError(
                f"worker processes cannot be started: {in_words(error)}. They need shared memory "
                "(/dev/shm) that can be written to; --workers 1 needs none"
            ) from error
        self._futures[future] = (index, slot)

    def _submit(self, slot: int, task: Task) -> concurrent.futures.Future[Any]:
        try:
            return self._executor(slot).submit(run_task, task)  # type: ignore[no-any-return]
        except concurrent.futures.BrokenExecutor:
            # It was killed while it had nothing to do.
            self._executors[slot] = None
            return self._executor(slot).submit(run_task, task)  # type: ignore[no-any-return]

    def _executor(self, slot: int) -> Any:
        if self._executors[slot] is None:
            self._executors[slot] = ProcessPoolExecutor(
                max_workers=1, initializer=_prepare, initargs=(os.getpid(),), env=ONE_THREAD
            )
        return self._executors[slot]

    def _next(self) -> tuple[int, Any]:
        done, _ = concurrent.futures.wait(
            self._futures, return_when=concurrent.futures.FIRST_COMPLETED
        )
        future = next(iter(done))
        index, slot = self._futures.pop(future)
        try:
            return index, future.result()
        except concurrent.futures.BrokenExecutor:
            self._executors[slot] = None
            return index, KILLED

    def _until_taken(self) -> None:
        """Wait until the executors have taken what was handed to them last, mostly no time at all.

        Loky forgets its work when it is told to stop, and its thread then fails on a task that
        still stands in its queue.
        """
        deadline = time.monotonic() + TAKEN_SECONDS
        for future in self._futures:
            while not (future.running() or future.done()) and time.monotonic() < deadline:
                time.sleep(0.001)

    def _abandon(self) -> None:
        self._until_taken()
        for executor in self._executors:
            if executor is not None:
                executor.shutdown(wait=False, kill_workers=True)
        self._executors = [None] * self.workers
        self._futures = {}


def _check_open_files(workers: int) -> None:
    """Raise where so many processes would run into the limit of open files, or start and hang.

    Raises:
        InputError: the limit is too low.
    """
    try:
        import resource
    except ImportError:  # a system without such a limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES + FILES_EACH * workers
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise InputError(
            f"{workers} worker processes need {needed} open files, but the limit is {limit}; raise "
            f"it with `ulimit -n {max(needed, 1024)}`, or use --workers 1"
        )


@contextlib.contextmanager
def _quiet_on_ctrl_c() -> Iterator[None]:
    """Let processes that start in the block never see Ctrl-C: the parent, which does, ends them.

    They inherit the blocked signal; for this process it waits until the end of the block.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Python starts it with the first process, and in some releases unblocks the signal after that.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(parent: int) -> None:
    """Prepare a worker: one thread, and it ends when the process that it works for is gone."""
    torch.set_num_threads(1)
    threading.Thread(target=_guard, args=(parent,), daemon=True).start()


def _guard(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(GUARD_SECONDS)
    # Nobody waits for the result any more, and the folder may belong to another run by now.
    os._exit(1)
