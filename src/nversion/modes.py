"""PyTorch's modes of a whole thread or process, put aside while we compute.

Autocast and another default dtype change what a network computes, and inference mode forbids
gradients. Whoever calls us within one gets the answers that they get without: the public calls are
decorated with :func:`ordinary`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import torch

__all__ = ["ordinary"]


@contextlib.contextmanager
def ordinary() -> Iterator[None]:
    """Compute as PyTorch does by default, for the time of the block: float32 and gradients."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        _DEFAULT.enter()
        stack.callback(_DEFAULT.leave)
        yield


class _DefaultDtype:
    """The default dtype is the whole process's: the first thread sets it, the last restores it."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._before = torch.float32

    def enter(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = torch.get_default_dtype()
                if self._before != torch.float32:
                    torch.set_default_dtype(torch.float32)
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._before != torch.float32:
                torch.set_default_dtype(self._before)


_DEFAULT = _DefaultDtype()
