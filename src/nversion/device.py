"""On which device networks compute: the processor, or a graphics card through CUDA.

One device gives one result, bit for bit: on CUDA, the algorithms that would not are refused
(`PyTorch on reproducibility <https://pytorch.org/docs/stable/notes/randomness.html>`_). Another
device rounds otherwise, so the device is part of what a result is made from.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Literal, cast, get_args

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.naming import did_you_mean

__all__ = ["Device", "Recorder", "check_device", "deterministic", "recorder", "resolve_device"]

Device = Literal["auto", "cpu", "cuda"]
"""Where networks compute; "auto" is CUDA where there is a card, else the processor."""


Recorder = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
"""Makes of a function that works on tensors in fixed places one that does the same once more."""


_RECORDING = threading.Lock()


def check_device(device: str) -> Device:
    """Return `device` if it is one of the names.

    Raises:
        InputError: it is not.
    """
    if device not in get_args(Device):
        hint = did_you_mean(device, get_args(Device))
        raise InputError(f"device must be auto, cpu or cuda, not {device!r}{hint}")
    return cast(Device, device)


def resolve_device(device: str | torch.device) -> torch.device:
    """Return the device that a wish stands for.

    Args:
        device: "auto", "cpu", "cuda" (the first card that is visible) or a device of these kinds.

    Raises:
        InputError: it is another kind of device, or CUDA is wanted and there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind = check_device(device.type if isinstance(device, torch.device) else device)
    if kind == "cuda" and not torch.cuda.is_available():
        built = torch.version.cuda
        why = "finds no card" if built else f"{torch.__version__} is built without CUDA"
        raise InputError(f"device cuda: PyTorch {why}; use --device cpu, or auto")
    return torch.device(device)


@contextlib.contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """Let PyTorch use only algorithms that give the same bits again, for the time of the block.

    On the processor, with one thread, that is so anyway, and nothing is changed.
    """
    if device.type == "cpu":
        yield
        return
    # cuBLAS reads this when it makes its first workspace.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    _SETTINGS.enter()
    try:
        yield
    finally:
        _SETTINGS.leave()


class _Settings:
    """PyTorch's settings are the whole process's: the first thread sets them, the last restores."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._before = (False, False)

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                algorithms = torch.are_deterministic_algorithms_enabled()
                self._before = (algorithms, torch.backends.cudnn.benchmark)
                torch.use_deterministic_algorithms(True)
                torch.backends.cudnn.benchmark = False
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                torch.use_deterministic_algorithms(self._before[0])
                torch.backends.cudnn.benchmark = self._before[1]


_SETTINGS = _Settings()


def recorder(device: torch.device, draws: torch.Generator) -> Recorder | None:
    """Return what records work as a CUDA graph, or None on the processor, where it would not pay.

    Args:
        device: where the work is done.
        draws: the generator on that device that the work draws from.
    """
    if device.type == "cpu":
        return None

    def record(work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(draws)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        # Other threads may be at work on the card; one recording at a time is all it allows.
        with _RECORDING, torch.cuda.graph(graph, None, stream, capture_error_mode="thread_local"):
            result = work()

        def replay() -> Tensor:
            graph.replay()
            return result.clone()

        return replay

    return record
