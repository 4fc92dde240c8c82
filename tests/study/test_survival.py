"""What a study survives, with real processes: kills, Ctrl-C, a full disk, a flipped byte."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nversion.study import make_config, run_study
from nversion.study.config import save_config

from .conftest import comparable

TINY = {
    "attacks": {"names": ["gradient"], "images": 3},
    "certification": {
        "method": "interval",
        "images": 1,
        "norms": [2],
        "domains": ["ball"],
        "program_images": 0,
    },
}


@pytest.fixture(scope="module")
def config(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    save_config(make_config({**tiny, **TINY}), path)
    return path


def start(config: Path, out: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "nversion", "study", "--config", str(config)]
    return subprocess.Popen(
        [*command, "--out", str(out), *more],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def wait(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 300
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Return the pool's processes: those below `process` that are loky's workers."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_text()
        except OSError:
            continue
        if parent == process.pid and "popen_loky" in command:
            found.append(int(entry.name))
    return found


def test_ctrl_c_ends_at_once_with_a_line_and_no_process_stays(config: Path, tmp_path: Path) -> None:
    # A terminal sends the signal to all processes of the group.
    process = start(config, tmp_path / "s", "--workers", "2", process_group=0)
    workers = wait(lambda: len(found := workers_of(process)) == 2 and found)
    os.killpg(process.pid, signal.SIGINT)
    # It waits for no unit of work; the limit is for a machine that has much else to do.
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("interrupted; run the same command again")
    assert "Traceback" not in said
    wait(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_a_killed_worker_costs_its_unit_and_the_study_goes_on(config: Path, tmp_path: Path) -> None:
    process = start(config, tmp_path / "s", "--workers", "2", "--json")
    os.kill(wait(lambda: workers_of(process))[0], signal.SIGKILL)
    printed, said = process.communicate()
    assert process.returncode == 0, said
    assert re.search("versions/.: its worker process was killed .* trying once more", said)
    alone = run_study(make_config(_values(config)), tmp_path / "alone").to_json()
    assert comparable(json.loads(printed)) == comparable(alone)


def test_a_full_disk_is_one_clear_line_and_the_next_run_goes_on(
    config: Path, tmp_path: Path
) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, resource.RLIM_INFINITY))

    process = start(config, tmp_path / "s", "--workers", "1", preexec_fn=limit)
    _, said = process.communicate()
    assert process.returncode == 2
    last = said.splitlines()[-1]
    assert re.match(r"error: .*safetensors: no room to write it .* run the command again", last)
    assert not list((tmp_path / "s").rglob("*.tmp"))
    assert not list((tmp_path / "s").rglob(".*.tmp"))
    results = run_study(make_config(_values(config)), tmp_path / "s").to_json()
    assert results["study"]["failures"] == []


def _values(config: Path) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(config.read_text())
