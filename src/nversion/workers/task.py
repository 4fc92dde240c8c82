"""One piece of work, and what stands for its result if it fails."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import torch

from nversion.errors import NVersionError

__all__ = ["ONE_THREAD", "Failure", "Task", "run_task", "single_threaded"]

ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"
)
"""Environment of a process whose libraries are to keep to one thread."""

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


@contextlib.contextmanager
def single_threaded() -> Iterator[None]:
    """Run the block on one PyTorch thread, and give the threads back afterwards."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def run_task(task: Task) -> Any:
    """Run a task on one thread and return its result, or a :class:`Failure` if it raised."""
    function, arguments = task
    with single_threaded():
        try:
            return function(**arguments)
        except Exception as error:
            return Failure(error)
