"""Time and memory of a simulated study, by its number of versions.

Each version is one dense layer of 8 on the digits, trained for 60 steps; two cheap attacks on four
images each. What grows is everything else: units, files, the journal, the adversarial set, the vote
over stored outputs, the transfer matrix, the report. Each size runs in a process of its own, whose
peak memory (of itself, and of its largest worker) is read at the end; then the finished study is
run again, which checks every file, and the report is written.

    python benchmarks/growth.py 100 1000

Markdown goes to standard output.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECIPE = """
optimiser = "adamw"
learning_rate = 2e-2
schedule = "one-cycle"
epochs = 3
batch_size = 64
max_steps = 60
"""


def simulated(versions: int, folder: Path, workers: int, orders: int) -> dict[str, Any]:
    """Write the architectures and the recipe of a simulated study; return its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, versions + 1):
        (folder / f"t{number:04d}.txt").write_text("flatten\ndense, 8, relu")
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE)
    return {
        "dataset": "digits",
        "versions": {"count": versions, "recipe": str(recipe), "architectures": str(folder)},
        "attacks": {"names": ["gradient", "gradient-sign"], "images": 4},
        "program": {"orders": orders},
        "distillation": {"recipe": str(recipe)},
        "whole": {"images": 0},
        "evaluation": {"frequency_images": 4},
        "certification": {"images": 4, "norms": [2], "domains": ["ball"], "program_images": 0},
        "run": {"workers": workers},
    }


def measure(versions: int, workers: int, orders: int) -> dict[str, Any]:
    """Run a simulated study in this process and return what it took."""
    from nversion.report import write_report
    from nversion.study import make_config, run_study

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        config = make_config(simulated(versions, folder / "texts", workers, orders))
        started = time.perf_counter()
        results = run_study(config, folder / "study")
        first = time.perf_counter() - started
        peak = {
            "own": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        }
        started = time.perf_counter()
        run_study(config, folder / "study")
        again = time.perf_counter() - started
        started = time.perf_counter()
        page = write_report(results, folder / "report")
        report = time.perf_counter() - started
        files = [path for path in (folder / "study").rglob("*") if path.is_file()]
        return {
            "versions": versions,
            "images": results.adversarial_set.size,
            "seconds": first,
            "stages": results.study.wall_seconds,
            "again": again,
            "report": report,
            "page": page.stat().st_size / 1e6,
            "peak": peak,
            "files": len(files),
            "disk": sum(path.stat().st_size for path in files) / 1e6,
            "failures": len(results.study.failures),
        }


def main() -> None:
    """Measure each size in a process of its own and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument("--here", action="store_true", help="one size, in this process, as JSON")
    chosen = parser.parse_args()
    if chosen.here:
        json.dump(measure(chosen.versions[0], chosen.workers, chosen.orders), sys.stdout)
        return
    rows = []
    for versions in chosen.versions:
        command = [sys.executable, __file__, "--here", str(versions)]
        command += ["--workers", str(chosen.workers), "--orders", str(chosen.orders)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(done.stdout))
    print("| " + " | ".join(["", *(f"{row['versions']:,} versions" for row in rows)]) + " |")
    print("| --- " * (len(rows) + 1) + "|")
    lines = {
        "adversarial images": [f"{row['images']:,}" for row in rows],
        "the study, seconds": [f"{row['seconds']:.0f}" for row in rows],
        **{
            f"of which {stage}": [f"{row['stages'][stage]:.1f}" for row in rows]
            for stage in rows[0]["stages"]
            if stage != "total"
        },
        "running it again, all kept, seconds": [f"{row['again']:.1f}" for row in rows],
        "the report, seconds": [f"{row['report']:.1f}" for row in rows],
        "the report's page, MB": [f"{row['page']:.1f}" for row in rows],
        "peak memory of the study, MB": [f"{row['peak']['own']:.0f}" for row in rows],
        "files": [f"{row['files']:,}" for row in rows],
        "disk, MB": [f"{row['disk']:.0f}" for row in rows],
    }
    for name, values in lines.items():
        print("| " + " | ".join([name, *values]) + " |")


if __name__ == "__main__":
    main()
