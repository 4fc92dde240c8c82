from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from nversion.errors import InputError, TrainingError
from nversion.workers import Failure, Task, Where, open_pool


def _where(value: int) -> tuple[int, str, int, int]:
    time.sleep(0.02)
    return value, threading.current_thread().name, torch.get_num_threads(), os.getpid()


def _fail(value: int) -> None:
    raise TrainingError(f"no {value}")


def test_tasks_run_side_by_side_in_this_process_on_one_thread_each() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with open_pool(3, "threads") as pool:
            assert pool.here
            results = dict(pool.run([(_where, {"value": n}) for n in range(9)]))
            assert dict(pool.run([(_where, {"value": 9})]))[0][0] == 9
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert {n: value[0] for n, value in results.items()} == {n: n for n in range(9)}
    assert len({name for _, name, _, _ in results.values()}) == 3
    assert {threads for _, _, threads, _ in results.values()} == {1}
    assert {process for *_, process in results.values()} == {os.getpid()}


def test_a_failing_task_is_an_answer_not_an_end() -> None:
    with open_pool(2, "threads") as pool:
        results: dict[int, Any] = dict(pool.run([(_fail, {"value": 1}), (_where, {"value": 2})]))
    assert isinstance(results[0], Failure)
    assert str(results[0]) == "no 1"
    assert results[1][0] == 2


def test_nothing_more_begins_once_the_caller_stops() -> None:
    begun: list[int] = []

    def begin(value: int) -> None:
        begun.append(value)
        time.sleep(0.05)

    def tasks() -> Iterator[Task]:
        for value in range(100):
            yield begin, {"value": value}

    with open_pool(2, "threads") as pool, contextlib.closing(pool.run(tasks())) as results:
        next(results)
    assert len(begun) <= 4


def test_auto_is_threads_on_a_card_and_processes_without() -> None:
    assert Where.of(2, "auto", "").engine == "processes"
    assert Where.of(2, "threads", "", "cpu").engine == "threads"
    assert Where.of(2, "processes", "", "cpu").engine == "processes"
    if torch.cuda.is_available():
        assert Where.of(2, "auto", "", "cuda").engine == "threads"
        assert Where.of(2, "processes", "", "cuda").engine == "processes"
    else:
        with pytest.raises(InputError, match="device cuda"):
            Where.of(2, "auto", "", "cuda")
