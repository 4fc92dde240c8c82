"""Work on several cores, or on several machines: results as they come, whoever made them.

:func:`open_pool` gives a pool of single-threaded processes on this machine, of threads of this
process (for a graphics card), or of a Ray cluster's processes; the work does not know which. Each
task runs on one thread whatever the number of workers, so that a result does not depend on where it
was made.

A task that raises does not stop the others: its error comes back in its place. Nor does one whose
process is killed (by a signal, or for want of memory): it is tried once more in a new process.
"""

from __future__ import annotations

from nversion.workers.number import resolve_workers
from nversion.workers.opening import Engine, Where, check_engine, open_pool, run_tasks
from nversion.workers.pool import Pool
from nversion.workers.task import Failure, Task, run_task, single_threaded

__all__ = [
    "Engine",
    "Failure",
    "Pool",
    "Task",
    "Where",
    "check_engine",
    "open_pool",
    "resolve_workers",
    "run_task",
    "run_tasks",
    "single_threaded",
]
