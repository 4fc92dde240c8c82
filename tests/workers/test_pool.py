from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch

from nversion.errors import InputError, TrainingError
from nversion.workers import (
    Failure,
    Pool,
    Task,
    open_pool,
    resolve_workers,
    run_tasks,
    single_threaded,
)


@joblib.wrap_non_picklable_objects
def _square(value: int) -> tuple[int, int]:
    return value * value, torch.get_num_threads()


@joblib.wrap_non_picklable_objects
def _sum(array: np.ndarray, value: int) -> float:
    return float(array.sum()) + value


@joblib.wrap_non_picklable_objects
def _fail(value: int) -> None:
    if value == 1:
        raise TrainingError("it does not learn")
    raise RuntimeError("oh")


@joblib.wrap_non_picklable_objects
def _die(value: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@joblib.wrap_non_picklable_objects
def _die_once(file: Path) -> str:
    if not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


@joblib.wrap_non_picklable_objects
def _process(value: int) -> int:
    return os.getpid()


@pytest.fixture(scope="module")
def two() -> Iterator[Pool]:
    """Two processes that several tests share, as starting them takes longest."""
    with open_pool(2) as pool:
        yield pool


@pytest.fixture(params=[1, 2])
def pool(request: pytest.FixtureRequest, two: Pool) -> Pool:
    return two if request.param == 2 else open_pool(1)


def test_every_task_is_run_once_on_one_thread(pool: Pool) -> None:
    tasks = [(_square, {"value": value}) for value in range(6)]
    assert dict(pool.run(tasks)) == {v: (v * v, 1) for v in range(6)}


def test_large_arrays_reach_the_workers(two: Pool) -> None:
    array = np.ones(500_000)
    tasks = [(_sum, {"array": array, "value": value}) for value in range(3)]
    assert dict(two.run(tasks)) == {v: 500_000.0 + v for v in range(3)}


def test_a_failing_task_is_an_answer_not_an_end(pool: Pool) -> None:
    tasks = [(_fail, {"value": 1}), (_square, {"value": 3}), (_fail, {"value": 2})]
    results = dict(pool.run(tasks))
    assert results[1] == (9, 1)
    assert isinstance(results[0], Failure)
    assert (results[0].kind, str(results[0])) == ("TrainingError", "it does not learn")
    assert str(results[2]) == "RuntimeError: oh"
    assert "_fail" in results[2].traceback


def test_a_task_that_kills_its_worker_twice_has_failed_and_the_others_are_done(two: Pool) -> None:
    tasks = [(_die, {"value": 0}), *((_square, {"value": value}) for value in range(1, 5))]
    again: list[int] = []
    results = dict(two.run(tasks, again.append))
    assert again == [0]
    assert results[0].kind == "WorkerKilledError"
    assert "killed 2 times" in str(results[0])
    assert {n: results[n] for n in range(1, 5)} == {n: (n * n, 1) for n in range(1, 5)}


def test_a_task_whose_worker_is_killed_once_is_done_in_another(tmp_path: Path) -> None:
    tasks = [(_die_once, {"file": tmp_path / str(value)}) for value in range(3)]
    assert dict(run_tasks(tasks, 2)) == dict.fromkeys(range(3), "done")


def test_a_worker_that_is_killed_while_idle_is_replaced(two: Pool) -> None:
    processes = {result for _, result in two.run([(_process, {"value": 0})] * 4)}
    for process in processes:
        os.kill(process, signal.SIGKILL)
    others = {result for _, result in two.run([(_process, {"value": 0})] * 4)}
    assert processes.isdisjoint(others)


def test_processes_stay_from_one_run_to_the_next_and_go_with_the_pool() -> None:
    with open_pool(2) as pool:
        first = {result for _, result in pool.run([(_process, {"value": 0})] * 6)}
        second = {result for _, result in pool.run([(_process, {"value": 0})] * 6)}
    assert second <= first
    for process in first:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_workers_end_when_the_process_that_they_work_for_is_killed(tmp_path: Path) -> None:
    code = """
import os, pathlib, sys, time
from nversion.workers import open_pool
def report(folder, place):
    import os, pathlib, time
    (pathlib.Path(folder) / str(place)).write_text(str(os.getpid()))
    time.sleep(60)
with open_pool(2) as pool:
    list(pool.run([(report, {"folder": sys.argv[1], "place": n}) for n in range(2)]))
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    _wait(lambda: all((tmp_path / name).is_file() for name in "01"))
    process.kill()
    process.wait()
    workers = [int((tmp_path / name).read_text() or 0) for name in "01"]
    _wait(lambda: not any(_alive(worker) for worker in workers))


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_tasks_are_taken_as_workers_become_free(two: Pool) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for value in range(100):
            taken.append(value)
            yield _square, {"value": value}

    with contextlib.closing(two.run(tasks())) as results:
        next(results)
        assert len(taken) <= 4


def test_an_address_belongs_to_ray_and_other_engines_are_refused() -> None:
    with pytest.raises(InputError, match="add --engine ray"):
        open_pool(2, "processes", "localhost:6379")
    with pytest.raises(InputError, match="engine must be"):
        open_pool(2, "slurm")  # type: ignore[arg-type]


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with contextlib.suppress(RuntimeError), single_threaded():
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


def test_workers_are_a_number_or_auto() -> None:
    assert resolve_workers("auto") >= 1
    assert resolve_workers("3") == resolve_workers(3) == 3
    for wrong in (0, -1, "many"):
        with pytest.raises(InputError, match="workers must be"):
            resolve_workers(wrong)


def test_a_limit_of_open_files_that_is_too_low_is_named_before_anything_starts() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (32, before[1]))
    try:
        with pytest.raises(InputError, match="limit is 32; raise it with `ulimit -n 1024`"):
            open_pool(3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="no way to hold a process to cores"
)
def test_auto_counts_only_the_cores_that_are_left_to_this_process() -> None:
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from nversion.workers import resolve_workers
print(resolve_workers("auto"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
