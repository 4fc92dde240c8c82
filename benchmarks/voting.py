"""What a vote takes beyond running its networks one by one.

    python benchmarks/voting.py [--versions 10] [--images 1000] [--voters NAMES] [--rounds 9]
        [--isolate] [--out FILE]

The first networks of the catalogue for MNIST's shape, not trained, on random images of that shape.
The rounds alternate: each network as :func:`nversion.models.evaluate` runs it in evaluation mode,
and as a vote asks it; then what a vote does beside that (checking the images, gathering answers,
deciding). What counts are processor seconds of this process on one thread, of each of these pieces
the least over the rounds, which other work on the machine disturbs least; they are added up.
With ``--isolate`` the wall-clock time of one process for each version is printed as well.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import nversion as nv
from nversion.models import BATCH_SIZE, check_images, evaluate, frozen
from nversion.program import voter_names
from nversion.program.asking import Answer, ask, gather

SHAPE, CLASSES = (1, 28, 28), 10


def seconds_of(work: Callable[[], object]) -> float:
    """Return the processor seconds of a piece of work."""
    began = time.process_time()
    work()
    return time.process_time() - began


def alone(model: nn.Module, images: torch.Tensor) -> None:
    """Run a network on all images."""
    with frozen(model):
        evaluate(model, images)


def decided(program: nv.Program, answers: list[Answer], images: torch.Tensor) -> None:
    """Do what a vote does beside asking its versions."""
    check_images(images)
    program.decide(gather(answers, len(images)))


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
    answers = [ask(model, images, BATCH_SIZE, place) for place, model in enumerate(models)]
    networks, asked = ([math.inf] * len(models) for _ in range(2))
    rest = dict.fromkeys(programs, math.inf)
    for _ in range(options.rounds):
        for place, model in enumerate(models):
            spent = seconds_of(functools.partial(alone, model, images))
            networks[place] = min(networks[place], spent)
            spent = seconds_of(functools.partial(ask, model, images, BATCH_SIZE))
            asked[place] = min(asked[place], spent)
        for name, program in programs.items():
            spent = seconds_of(functools.partial(decided, program, answers, images))
            rest[name] = min(rest[name], spent)
    least = sum(networks)
    found = {name: (sum(asked) + spent) / least - 1 for name, spent in rest.items()}
    print(
        f"{options.versions} networks one by one: {least:.3f} s, as a vote asks: {sum(asked):.3f} s"
    )
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
