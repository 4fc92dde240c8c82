"""One process for each version, so that a crash, a hang or too much memory costs one voice.

A process starts when its version is first asked, is told the network by a pickle of this program's
own making, and stays for further calls. One that dies, or does not answer in time, is voted out for
the rest of the call, and started anew at the next; one whose network has changed since is started
anew, too. Whatever a network does to memory, signals or its standard output reaches nobody else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.program.asking import Answer
from nversion.program.faults import Fault
from nversion.workers.task import ONE_THREAD

__all__ = ["ISOLATED", "IsolatedVersions", "Isolation", "create_isolation", "to_wire"]

ISOLATED = "NVERSION_ISOLATED"
"""Is set in the environment of a version's own process."""

STARTING_SECONDS = 120.0
"""A process may take so long to import PyTorch and the network, beside its time to answer."""


@dataclasses.dataclass(frozen=True)
class Isolation:
    """How processes of versions are kept in bounds.

    Attributes:
        seconds: what a version may take to answer one block of images (1,024 at the most).
        megabytes: what it may take of memory beyond what Python and PyTorch themselves take; None
            for as much as there is.
    """

    seconds: float = 60.0
    megabytes: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("seconds", self.seconds), ("megabytes", self.megabytes)):
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise InputError(f"{name} must be a positive number, not {value!r}")


def create_isolation(isolate: Isolation | str | None) -> Isolation | None:
    """Return the isolation that is meant by "processes", None, or one itself.

    Raises:
        InputError: anything else.
    """
    if isolate is None or isinstance(isolate, Isolation):
        return isolate
    if isolate != "processes":
        raise InputError(f'isolate must be None, "processes" or an Isolation, not {isolate!r}')
    return Isolation()


class IsolatedVersions:
    """The processes of a program's versions.

    Args:
        count: how many versions there are.
        isolation: the bounds.
    """

    def __init__(self, count: int, isolation: Isolation) -> None:
        self.isolation = isolation
        self._processes: list[_Process | None] = [None] * count
        self._finalizer = weakref.finalize(self, _end_all, self._processes)

    def __reduce__(self) -> Any:
        # A copy, or one that is unpickled elsewhere, starts processes of its own.
        return IsolatedVersions, (len(self._processes), self.isolation)

    def close(self) -> None:
        """End all processes; they start anew when they are needed."""
        _end_all(self._processes)

    def ask(
        self, models: Sequence[nn.Module | None], images: Tensor, batch_size: int
    ) -> list[Answer | None]:
        """Return what each version says; all of them work at the same time.

        Args:
            models: in their places; None for one that is not asked.
            images: floating [count, channels, height, width] in [0, 1].
            batch_size: images a batch.
        """
        places = [place for place, model in enumerate(models) if model is not None]
        found: list[Answer | None] = [None] * len(models)
        # A thread for each line: a process that is slow to listen keeps nobody else waiting.
        with ThreadPoolExecutor(max(len(places), 1)) as threads:
            answers = threads.map(
                lambda place: self._ask(place, models[place], images, batch_size), places
            )
            for place, answer in zip(places, answers, strict=True):
                found[place] = answer
        return found

    def _ask(self, place: int, model: nn.Module | None, images: Tensor, batch_size: int) -> Answer:
        assert model is not None
        process = self._processes[place]
        if process is not None and (process.gone or process.mark != _mark(model)):
            self._end(place)
            process = None
        try:
            if process is None:
                process = self._processes[place] = _Process(model, self.isolation)
        except Exception as error:
            reason = f"cannot be given to a process of its own: {type(error).__name__}: {error}"
            return Answer.missing(place, "crashes", reason[:300], len(images))
        try:
            return process.answer(place, images, batch_size)
        except TimeoutError as error:
            self._end(place)
            return Answer.missing(place, "hangs", f"gives no answer within {error}", len(images))
        except (EOFError, OSError):
            reason = f"takes its process down ({process.end()})"
            self._end(place)
            return Answer.missing(place, "crashes", reason, len(images))

    def _end(self, place: int) -> None:
        process, self._processes[place] = self._processes[place], None
        if process is not None:
            process.end()


class _Process:
    """One version's process, and the line to it."""

    def __init__(self, model: nn.Module, isolation: Isolation) -> None:
        self.mark = _mark(model)
        self._seconds = isolation.seconds
        self._content: bytes | None = cloudpickle.dumps((model, isolation.megabytes))
        ours, theirs = socket.socketpair()
        path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
        with theirs:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "nversion.program.isolated", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD, "PYTHONPATH": path, ISOLATED: "1"},
            )
        self._line = Connection(ours.detach())
        self._late = False

    @property
    def gone(self) -> bool:
        return self._child.poll() is not None

    def answer(self, place: int, images: Tensor, batch_size: int) -> Answer:
        """Return what the version says.

        Raises:
            TimeoutError: it does not answer in time; in words, how long that was.
            EOFError: the process is gone.
            OSError: likewise.
        """
        if self._content is not None:
            with self._within(STARTING_SECONDS):
                self._line.send_bytes(self._content)
                self._line.recv()
            self._content = None
        with self._within(self._seconds):
            self._line.send((images.detach().cpu().numpy(), batch_size))
            logits, faults = self._line.recv()
        found = tuple(
            Fault(place, kind, reason, torch.from_numpy(rows)) for kind, reason, rows in faults
        )
        return Answer(None if logits is None else torch.from_numpy(logits), found)

    @contextlib.contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        """Kill the process if the block takes longer; the line then breaks."""
        timer = threading.Timer(seconds, self._too_late)
        timer.daemon = True
        timer.start()
        try:
            yield
        except (EOFError, OSError) as error:
            if self._late:
                raise TimeoutError(f"{seconds:g} s") from error
            raise
        finally:
            timer.cancel()

    def _too_late(self) -> None:
        self._late = True
        self._child.kill()

    def end(self) -> str:
        """End the process and return how it had ended, if it had."""
        self._line.close()
        try:
            # One that is about to end by itself is let do so, to tell why.
            self._child.wait(0.5)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        code = self._child.returncode
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _end_all(processes: list[_Process | None]) -> None:
    for place, process in enumerate(processes):
        if process is not None:
            process.end()
        processes[place] = None


def _mark(model: nn.Module) -> object:
    """Return what changes when a network's numbers do: their places and how often they changed."""
    tensors = (*model.parameters(), *model.buffers())
    return id(model), tuple(
        (one.data_ptr(), 0 if one.is_inference() else one._version, one.dtype) for one in tensors
    )


def to_wire(answer: Answer) -> tuple[Any, list[tuple[str, str, np.ndarray[Any, Any]]]]:
    """Return an answer as what a process sends back."""
    faults = [(one.kind, one.reason, one.images.numpy()) for one in answer.faults]
    return None if answer.logits is None else answer.logits.numpy(), faults
