from __future__ import annotations

import contextlib
import os
import signal

import joblib
import numpy as np
import pytest
import torch

from nversion.errors import InputError, NVersionError, TrainingError
from nversion.workers import Failure, resolve_workers, run_tasks, single_threaded


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


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_run_once_on_one_thread(workers: int) -> None:
    tasks = [(_square, {"value": value}) for value in range(6)]
    assert dict(run_tasks(tasks, workers)) == {v: (v * v, 1) for v in range(6)}


def test_large_arrays_reach_the_workers() -> None:
    array = np.ones(500_000)
    tasks = [(_sum, {"array": array, "value": value}) for value in range(3)]
    assert dict(run_tasks(tasks, 2)) == {v: 500_000.0 + v for v in range(3)}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_failing_task_is_an_answer_not_an_end(workers: int) -> None:
    tasks = [(_fail, {"value": 1}), (_square, {"value": 3}), (_fail, {"value": 2})]
    results = dict(run_tasks(tasks, workers))
    assert results[1] == (9, 1)
    assert isinstance(results[0], Failure)
    assert (results[0].kind, str(results[0])) == ("TrainingError", "it does not learn")
    assert str(results[2]) == "RuntimeError: oh"
    assert "_fail" in results[2].traceback


def test_a_killed_worker_is_told_apart_from_a_failing_task() -> None:
    tasks = [(_die, {"value": value}) for value in range(2)]
    with pytest.raises(NVersionError, match="worker process was killed"):
        list(run_tasks(tasks, 2))


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
