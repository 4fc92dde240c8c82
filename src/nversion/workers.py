"""Work on several cores: one single-threaded process each, results in the order of the tasks.

The pool is joblib's (loky): it starts fresh interpreters, hands large arrays over as memory maps
rather than copies, and notices when a worker is killed. Each task runs on one thread whatever the
number of workers, so that a result does not depend on that number.

A task that raises does not stop the others: its error comes back in its place.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import joblib
import torch
from joblib.externals.loky.process_executor import TerminatedWorkerError

from nversion.errors import InputError, NVersionError

__all__ = ["Failure", "Task", "resolve_workers", "run_tasks", "single_threaded"]

Task = tuple[Callable[..., Any], dict[str, Any]]
"""A module-level function and its keyword arguments."""


class Failure:
    """Stands for the result of a task that raised.

    Attributes:
        kind: the exception's class name.
        message: what it said, or "" for an exception without words.
        expected: whether it is one of nversion's own errors (and so no accident).
        traceback: where it was raised, as text.
    """

    def __init__(self, error: BaseException) -> None:
        self.kind = type(error).__name__
        self.message = str(error)
        self.expected = isinstance(error, NVersionError)
        self.traceback = "".join(traceback.format_exception(error))

    def __str__(self) -> str:
        return self.message if self.expected else f"{self.kind}: {self.message}"


def resolve_workers(workers: int | str) -> int:
    """Return a number of processes for "auto" (one per core this process may use) or a number.

    Raises:
        InputError: it is neither "auto" nor a whole number of at least 1.
    """
    if workers == "auto":
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
    try:
        number = int(workers)
    except ValueError:
        number = 0
    if number < 1:
        raise InputError(f"workers must be auto or a number of at least 1, not {workers!r}")
    return number


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Run the block on one PyTorch thread, and give the threads back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_tasks(tasks: Sequence[Task], workers: int = 1) -> Generator[tuple[int, Any], None, None]:
    """Run the tasks and yield (index, result or :class:`Failure`) as each one ends.

    Args:
        tasks: functions that can be pickled, with their arguments.
        workers: processes; 1 runs in this process, one task after the other.

    Raises:
        NVersionError: a worker process was killed from outside (by a signal, or for want of
            memory); the tasks that had not ended by then have no result.
    """
    if workers == 1 or len(tasks) < 2:
        for index, task in enumerate(tasks):
            yield _run(index, task)
        return
    with joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1):
        pool = joblib.Parallel(
            return_as="generator_unordered", mmap_mode="c", pre_dispatch="2*n_jobs", batch_size=1
        )
        try:
            yield from pool(joblib.delayed(_run)(index, task) for index, task in enumerate(tasks))
        except TerminatedWorkerError as error:
            raise NVersionError(
                "a worker process was killed (by a signal, or because memory ran out); "
                "run the command again: finished work is kept"
            ) from error


def _run(index: int, task: Task) -> tuple[int, Any]:
    function, arguments = task
    with single_threaded():
        try:
            return index, function(**arguments)
        except Exception as error:
            return index, Failure(error)
