"""Scaling of the training stage: one worker against two, and processes against Ray, in one run.

    pip install 'nversion[ray]'
    python benchmarks/scaling.py --data-dir PATH_OF_MNIST [--versions 12] [--steps 300]

The training stage of a study (versions of the catalogue, recipe `fast` cut to `--steps` steps) runs
once with each pool: one worker, two processes, two workers of a local Ray. Each pool is new; the
seconds are given with the start of its workers (interpreters that import PyTorch, once a study) and
without it, after a small task has woken each of them. Cores that share their arithmetic units, or a
machine with other work, show in the ratio. Markdown goes to standard output.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nversion.architectures import Architecture, catalogue
from nversion.datasets import load_dataset
from nversion.datasets.shared import SharedDataset
from nversion.versions import Recipe, load_recipe, train
from nversion.workers import Failure, Pool, open_pool


def main() -> None:
    """Measure each pool and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data-dir")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--versions", type=int, default=12)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    pools: dict[str, Callable[[], Pool]] = {
        "1 worker": lambda: open_pool(1),
        "2 processes": lambda: open_pool(2),
        "2 Ray workers": lambda: open_pool(2, "ray"),
    }
    data = load_dataset(chosen.dataset, root=chosen.data_dir)
    recipe = load_recipe("fast").model_copy(update={"max_steps": chosen.steps})
    architectures = catalogue(chosen.versions, data.shape, data.classes)
    # As the training stage does it: the dearest first.
    architectures.sort(key=lambda a: -a.multiply_adds(data.shape, data.classes))
    least: dict[str, tuple[float, float]] = {}
    weights: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        shared = SharedDataset.stored(data, Path(folder))
        for _ in range(chosen.rounds):
            for name, make in pools.items():
                start, work, weights[name] = measure(make(), shared, architectures, recipe)
                least[name] = min(least.get(name, (start, work)), (start, work), key=lambda t: t[1])
    one = least["1 worker"][1]
    print("| pool | start, s | training stage, s | against one worker | with the start |")
    print("| --- | --- | --- | --- | --- |")
    for name, (start, work) in least.items():
        print(
            f"| {name} | {start:.1f} | {work:.1f} | {one / work:.2f} | {one / (start + work):.2f} |"
        )
    overhead = least["2 Ray workers"][1] / least["2 processes"][1] - 1
    print(f"\nRay over processes: {overhead:+.1%}; the same weights, bit for bit: ", end="")
    print("yes" if len(set(map(tuple, weights.values()))) == 1 else "NO")


def measure(
    pool: Pool, shared: SharedDataset, architectures: list[Architecture], recipe: Recipe
) -> tuple[float, float, list[float]]:
    """Return seconds to wake the workers, seconds of the stage, and a sum of each one's weights."""
    with pool:
        began = time.perf_counter()
        list(pool.run([(wake, {"seconds": 1.0})] * pool.workers))
        start = time.perf_counter() - began - 1.0
        tasks = [
            (one, {"shared": shared, "architecture": architecture, "recipe": recipe})
            for architecture in architectures
        ]
        began = time.perf_counter()
        results = dict(pool.run(tasks))
        seconds = time.perf_counter() - began
    failed = next((r for r in results.values() if isinstance(r, Failure)), None)
    if failed:
        raise SystemExit(f"a version failed: {failed.traceback}")
    return start, seconds, [results[index] for index in range(len(tasks))]


def wake(seconds: float) -> None:
    """Import what training imports, and keep the worker busy so that each gets one such task."""
    import nversion.versions.training  # noqa: F401

    time.sleep(seconds)


def one(shared: SharedDataset, architecture: Architecture, recipe: Recipe) -> float:
    """Train one version."""
    named = dataclasses.replace(architecture, name=architecture.name or "version")
    version = train(named, shared.open(), recipe, seed=1)
    return float(sum(p.detach().double().sum() for p in version.model.parameters()))


if __name__ == "__main__":
    main()
