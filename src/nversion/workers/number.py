"""How many workers there are to be."""

from __future__ import annotations

import joblib

from nversion.errors import InputError

__all__ = ["resolve_workers"]


def resolve_workers(workers: int | str) -> int:
    """Return a number of workers for "auto" (one per core) or a number.

    What the scheduler and the container (its cgroup) leave to this process counts as its cores.

    Raises:
        InputError: it is neither "auto" nor a whole number of at least 1.
    """
    if workers == "auto":
        return int(joblib.cpu_count())
    try:
        number = int(workers)
    except ValueError:
        number = 0
    if number < 1:
        raise InputError(f"workers must be auto or a number of at least 1, not {workers!r}")
    return number
