from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nversion.cli.printing import size, span, stage_times, working


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.04, "0.0 s"), (59.94, "59.9 s"), (200, "3 min 20 s"), (3599, "59 min 59 s"),
     (7500, "2 h 05 min")],
)  # fmt: skip
def test_times_in_units_that_fit(seconds: float, written: str) -> None:
    assert span(seconds) == written


@pytest.mark.parametrize(
    ("count", "written"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (12e6, "12 MB"), (3e12, "3.0 TB")],
)
def test_sizes_in_units_that_fit(count: float, written: str) -> None:
    assert size(count) == written


def test_where_the_time_went() -> None:
    lines = stage_times({"versions": 75.0, "attacks": 25.0, "total": 100.0}).splitlines()
    assert lines[0] == "wall-clock time by stage:"
    assert [line.split() for line in lines[1:]] == [
        ["versions", "1", "min", "15", "s", "75%"],
        ["attacks", "25.0", "s", "25%"],
        ["total", "1", "min", "40", "s", "100%"],
    ]


def test_lost_work_stands_beside_the_time_that_counts_and_only_if_there_is_some() -> None:
    lines = stage_times({"versions": 75.0, "total": 75.0}, 83.0).splitlines()
    assert "thrown away: 1 min 23 s" in lines[3]
    assert len(stage_times({"versions": 75.0, "total": 75.0}, 0.2).splitlines()) == 3


def test_without_a_terminal_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with working("measuring"):
        pass
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_work_is_shown_at_once_and_goes_away() -> None:
    code = "from nversion.cli.printing import working\nwith working('measuring'):\n    pass\n"
    read, write = os.openpty()
    done = subprocess.run([sys.executable, "-c", code], stderr=write, check=True, timeout=60)
    os.close(write)
    shown = os.read(read, 10_000).decode()
    os.close(read)
    assert done.returncode == 0
    assert "measuring" in shown
