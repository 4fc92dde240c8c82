"""How long it takes to measure how a hundred versions fail, and what memory.

    python benchmarks/reliability.py [--deslib PYTHON_WITH_DESLIB] [--versions N] [--images N]

Outputs of 100 versions on 10,000 images in ten classes are drawn at random, so that everybody can
repeat this: an image's difficulty has a beta distribution, and a version fails on it with that
probability, sure of one of two wrong classes. Twice: versions that are 98 % accurate, as on test
images, and 60 %, as on adversarial ones, where few images share a pattern of failures.

Each line is one thing that a user asks, from the outputs as they are stored (an ``.npz`` file);
seconds are the wall clock's and the processor's, and memory is the most that the process held at
any time until then. With ``--deslib``, the four measures that DESlib has too are computed by it,
for every tenth pair of versions, on the first set; the seconds for all pairs are ten times as many.
They are compared with ``nversion.diversity`` without intervals, all measures.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import nversion as nv
from nversion.reliability import class_bounds, majority_growth, plurality_growth
from nversion.selection import Accuracy, best_first, greedy, in_order, random_orders, smallest
from nversion.tables import Table, read_table

STEP = 10
"""Of so many pairs, DESlib gets one."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time what is measured of stored outputs.")
    parser.add_argument("--versions", type=int, default=100)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--deslib", help="a Python interpreter that has DESlib")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for accuracy in (0.98, 0.6):
            path = Path(folder) / f"{accuracy}.npz"
            store(path, arguments.versions, arguments.images, accuracy)
            print(f"\n{arguments.versions} versions, {arguments.images:,} images, {accuracy:.0%}")
            measure(path)
        if arguments.deslib:
            compare(Path(folder) / "0.98.npz", Path(folder) / "classes.npz", arguments.deslib)


def store(path: Path, versions: int, images: int, accuracy: float) -> None:
    """Write outputs of versions that fail on the same images more often than by chance."""
    randomness = np.random.default_rng(0)
    labels = randomness.integers(0, 10, images)
    hard = randomness.beta(0.3, 0.3 * accuracy / (1.0 - accuracy), images)
    named = labels[None].repeat(versions, axis=0)
    fails = randomness.random((versions, images)) < hard
    wrong = (labels + randomness.integers(1, 3, (versions, images))) % 10
    named = np.where(fails, wrong, named)
    logits = randomness.normal(size=(versions, images, 10)).astype(np.float32)
    sure = randomness.uniform(4.0, 12.0, (versions, images)).astype(np.float32)
    np.put_along_axis(logits, named[:, :, None], sure[:, :, None], axis=2)
    shares = np.exp(logits - logits.max(axis=2, keepdims=True))
    np.savez(path, labels=labels, probabilities=shares / shares.sum(axis=2, keepdims=True))


def measure(path: Path) -> None:
    """Time every question, and all of them."""
    start, busy = time.perf_counter(), time.process_time()
    table: Table = timed("read the outputs", lambda: read_table(path))
    answers = table.answers
    outputs, labels, wrong = table.outputs, table.labels, answers.wrong
    timed("diversity", lambda: nv.diversity(answers.predictions, labels))
    timed(
        "diversity, 1,000 resamples, every pair",
        lambda: nv.diversity(answers.predictions, labels, resamples=1000),
    )
    timed(
        "coincident failures, tests, by class",
        lambda: nv.coincident_failures(wrong, labels).to_json(),
    )
    odd = wrong[: len(wrong) - 1 + len(wrong) % 2]
    timed("bounds by class", lambda: class_bounds(odd, labels))
    timed("majority of every n, intervals", lambda: majority_growth(wrong, resamples=1000))
    timed(
        "plurality of every n, intervals",
        lambda: plurality_growth(answers.predictions, labels, resamples=1000),
    )
    criterion = timed("mean softmax: prepare", lambda: Accuracy(outputs, labels))
    timed("1,000 random orders", lambda: random_orders(criterion, 1000))
    timed("given order, best first", lambda: (in_order(criterion), best_first(criterion)))
    timed("greedy, ten versions", lambda: greedy(criterion, 10))
    timed("the smallest that is as good", lambda: smallest(criterion, tolerance=0.0005))
    print(
        f"{'all':42}{time.perf_counter() - start:8.2f} s{time.process_time() - busy:8.2f} s"
        f"{memory():8.0f} MiB"
    )


def timed(what: str, question: Callable[[], Any]) -> Any:
    """Return the answer, and print how long it took."""
    start, busy = time.perf_counter(), time.process_time()
    answer = question()
    wall, own = time.perf_counter() - start, time.process_time() - busy
    print(f"{what:42}{wall:8.2f} s{own:8.2f} s{memory():8.0f} MiB", flush=True)
    return answer


def memory() -> float:
    """Return the most memory that this process held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(path: Path, classes: Path, python: str) -> None:
    """Time DESlib on every tenth pair, and compare its values."""
    answers = read_table(path).answers
    np.savez(classes, labels=answers.labels, predictions=answers.predictions)
    helper = Path(__file__).with_name("reliability_deslib.py")
    command = [python, str(helper), str(classes), str(STEP)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    theirs = json.loads(shown)
    start = time.process_time()
    ours = nv.diversity(answers.predictions, answers.labels)
    seconds = time.process_time() - start
    pairs = list(itertools.combinations(range(ours.versions), 2))
    chosen = tuple(np.array(pairs[::STEP]).T)
    for name, values in theirs["values"].items():
        off = np.abs(getattr(ours, name)[chosen] - np.array(values)).max()
        print(f"{name}: differs from DESlib's by {off:.1e} at the most")
    scaled = theirs["seconds"] * len(pairs) / theirs["pairs"]
    print(
        f"DESlib, four measures of all {len(pairs)} pairs: {scaled:.1f} s (of {theirs['pairs']}, "
        f"{theirs['seconds']:.1f} s); nversion, all measures: {seconds:.3f} s; "
        f"{scaled / seconds:.0f} times as fast"
    )


if __name__ == "__main__":
    main()
