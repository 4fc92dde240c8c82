"""What a vote takes beyond running its networks one by one.

    python benchmarks/voting.py [--versions 10] [--images 1000] [--voters NAMES] [--rounds 9]
        [--isolate] [--out FILE]

The first networks of the catalogue for MNIST's shape, not trained, on random images of that shape.
The rounds alternate: the networks one by one, as :func:`nversion.models.evaluate` runs each of them
in evaluation mode, and the program's vote. What counts are processor seconds of this process on one
thread, of either the least over as many rounds, which other work on the machine disturbs least.
With ``--isolate`` the wall-clock time of one process for each version is printed as well.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import nversion as nv
from nversion.models import evaluate, frozen
from nversion.program import voter_names

SHAPE, CLASSES = (1, 28, 28), 10


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def one_by_one(models: list[nn.Module], images: torch.Tensor) -> None:
    """Run each network on all images."""
    for model in models:
        with frozen(model):
            evaluate(model, images)


def main() -> int:
    """Measure, and print ratios."""
    parser = argparse.ArgumentParser(description="Time votes beside their networks.")
    parser.add_argument("--versions", type=int, default=10)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--voters", default=",".join(voter_names()))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--isolate", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    models: list[nn.Module] = [
        one.build(SHAPE, CLASSES) for one in nv.catalogue(options.versions, SHAPE, CLASSES)
    ]
    images = torch.rand(options.images, *SHAPE)
    programs = {name: nv.Program(models, name) for name in options.voters.split(",")}
    one_by_one(models, images)
    voted: dict[str, list[float]] = {name: [] for name in programs}
    alone: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(options.rounds):
        for name, program in programs.items():
            alone[name].append(seconds_of(lambda: one_by_one(models, images)))
            voted[name].append(
                seconds_of(lambda program=program: program.vote(images))  # type: ignore[misc]
            )
    found = {name: min(values) / min(alone[name]) - 1 for name, values in voted.items()}
    least = min(min(values) for values in alone.values())
    print(f"{options.versions} networks one by one: {least:.3f} s")
    for name, overhead in found.items():
        print(f"{name:20} {overhead:+.1%}")
    if options.isolate:
        began = time.perf_counter()
        isolated = nv.Program(models, isolate="processes")
        with contextlib.closing(isolated):
            isolated.vote(images)
            first = time.perf_counter() - began
            began = time.perf_counter()
            isolated.vote(images)
        print(f"isolated: first vote {first:.2f} s, then {time.perf_counter() - began:.2f} s")
    if options.out:
        facts = {"seconds": least, "overhead": found}
        options.out.write_text(json.dumps(facts, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
