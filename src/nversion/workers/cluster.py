"""A pool of a Ray cluster's workers (the optional extra ``ray``), imported only when asked for.

Each task is one Ray task; Ray itself tells which one lost its worker. The tasks read and write
files by path: on more than one machine, the study's folder must be on storage that all of them see
under one name, with nversion installed on each.
"""

from __future__ import annotations

import logging
import socket
from typing import Any
from urllib.parse import urlsplit

from nversion.errors import InputError, MissingExtraError, NVersionError, in_words
from nversion.extras import how_to_install
from nversion.workers.number import resolve_workers
from nversion.workers.pool import KILLED, Pool
from nversion.workers.task import ONE_THREAD, Task, run_task

__all__ = ["RayPool"]

FOUND_BY_RAY = ("auto", "local")
"""Addresses that are words."""

DEFAULT_PORT = 6379
"""Ray's own."""

PATIENCE = 5.0
"""Seconds until a machine that says nothing counts as not there."""

STORE = 128 * 2**20
"""Bytes of a local Ray's object store: tasks hand over paths and small tables, no images."""


class RayPool(Pool):
    """Workers of a Ray cluster, one processor each.

    Args:
        workers: tasks in flight at the most; by default one per processor of the cluster.
        address: of a running cluster ("auto" finds the one this machine belongs to); "" starts Ray
            on this machine and ends it with the pool.

    Raises:
        MissingExtraError: Ray is not installed.
        NVersionError: the cluster cannot be reached.
    """

    remote = True

    def __init__(self, workers: int | None, address: str = "") -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtraError(
                "the engine ray needs Ray, which is not installed; use --engine processes, or "
                f"{how_to_install('ray')}"
            ) from None
        if address:
            _check_address(address)
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            _connect(ray, workers, address)
        self.workers = workers or max(int(ray.cluster_resources().get("CPU", 1)), 1)
        self._run = ray.remote(num_cpus=1, max_retries=0)(run_task)
        self._references: dict[Any, int] = {}

    def close(self) -> None:
        """Leave the cluster; end it if this pool started it."""
        self._abandon()
        if self._ours and self._ray.is_initialized():
            self._ray.shutdown()

    def _start(self, index: int, task: Task) -> None:
        self._references[self._run.remote(task)] = index

    def _next(self) -> tuple[int, Any]:
        (reference,), _ = self._ray.wait(list(self._references), num_returns=1)
        index = self._references.pop(reference)
        errors = self._ray.exceptions
        try:
            return index, self._ray.get(reference)
        except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError):
            return index, KILLED

    def _abandon(self) -> None:
        for reference in self._references:
            self._ray.cancel(reference, force=True)
        self._references = {}


def _check_address(address: str) -> None:
    """Raise unless somebody listens at a cluster's address: Ray itself tries for a minute.

    Raises:
        InputError: it is no address.
        NVersionError: nobody listens there.
    """
    if address in FOUND_BY_RAY:
        return
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host = None
    if not host or parts.scheme not in ("", "ray") or parts.path:
        raise InputError(
            f"address must be HOST:PORT, ray://HOST:PORT or auto, of a Ray cluster, not {address!r}"
        )
    try:
        socket.create_connection((host, port), timeout=PATIENCE).close()
    except OSError as error:
        raise NVersionError(
            f"no Ray cluster at {address}: {in_words(error)}; start one there with `ray start "
            "--head`, or leave out --address to have one on this machine"
        ) from error


def _connect(ray: Any, workers: int | None, address: str) -> None:
    settings: dict[str, Any] = {
        "logging_level": logging.WARNING,
        "log_to_driver": False,
        "runtime_env": {"env_vars": ONE_THREAD},
    }
    if address:
        settings["address"] = address
    else:
        settings |= {
            "num_cpus": workers or resolve_workers("auto"),
            "object_store_memory": STORE,
            "include_dashboard": False,
        }
    try:
        ray.init(**settings)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        raise NVersionError(f"no Ray cluster at {address or 'this machine'}: {error}") from error
