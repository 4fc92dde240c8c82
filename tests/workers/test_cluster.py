"""A local Ray gives what processes give; without Ray the error says what to do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import joblib
import pytest
import torch

from nversion.errors import InputError, MissingExtraError, NVersionError
from nversion.workers import Pool, open_pool

try:
    import ray  # noqa: F401

    installed = True
except ImportError:
    installed = False

needs_ray = pytest.mark.skipif(not installed, reason="Ray is not installed (the extra ray)")

pytestmark = pytest.mark.filterwarnings("ignore")


@joblib.wrap_non_picklable_objects
def _work(value: int) -> tuple[int, int]:
    return value * value, torch.get_num_threads()


@joblib.wrap_non_picklable_objects
def _fail(value: int) -> None:
    raise InputError(f"{value} is too much")


@joblib.wrap_non_picklable_objects
def _die(folder: Path, times: int) -> str:
    if len(list(folder.iterdir())) < times:
        (folder / str(os.getpid())).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with open_pool(2, "ray") as opened:
        yield opened


@needs_ray
def test_tasks_run_on_one_thread_and_failures_are_answers(pool: Pool) -> None:
    tasks = [(_work, {"value": value}) for value in range(4)]
    results = dict(pool.run([*tasks, (_fail, {"value": 9})]))
    assert {n: results[n] for n in range(4)} == {n: (n * n, 1) for n in range(4)}
    assert str(results[4]) == "9 is too much"


@needs_ray
def test_a_killed_worker_costs_one_task_and_twice_is_a_failure(pool: Pool, tmp_path: Path) -> None:
    once, always = tmp_path / "once", tmp_path / "always"
    once.mkdir()
    always.mkdir()
    again: list[int] = []
    tasks = [
        (_die, {"folder": once, "times": 1}),
        (_die, {"folder": always, "times": 9}),
        (_work, {"value": 3}),
    ]
    results = dict(pool.run(tasks, again.append))
    assert sorted(again) == [0, 1]
    assert results[0] == "done"
    assert results[1].kind == "WorkerKilledError"
    assert results[2] == (9, 1)


def test_without_ray_the_error_names_the_extra() -> None:
    code = "import sys; sys.modules['ray'] = None\nfrom nversion.workers import open_pool\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}open_pool(2, 'ray')"],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert MissingExtraError.__name__ in last
    assert "pip install 'nversion[ray]'" in last


def test_ray_is_imported_only_when_asked_for() -> None:
    code = "import sys, nversion.workers, nversion.study; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@needs_ray
def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}"):
        with pytest.raises(NVersionError, match=f"no Ray cluster at {address}: .*refused"):
            open_pool(1, "ray", address)


@needs_ray
@pytest.mark.parametrize("address", ["x:y", "http://h:1", ":6379", "h:99999"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="must be HOST:PORT"):
        open_pool(1, "ray", address)
