"""A pool of this process alone: no worker is started, and none can die."""

from __future__ import annotations

from typing import Any

from nversion.workers.pool import Pool
from nversion.workers.task import Task, run_task

__all__ = ["InProcessPool"]


class InProcessPool(Pool):
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
