"""How long the worst case of a program takes: many images, L2 and Linf, on some processes.

    python benchmarks/whole_timed.py VERSIONS --data-dir DIR [--images 300] [--workers 2]
        [--voter mean-softmax]

VERSIONS is a folder as whole.py reads it. The first images that the program gets right are parted
among the processes, each of one thread; an image's result does not depend on those beside it. What
is printed is the time on the clock from the first process's start to the last's end, with the
reading of the versions and the images.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

import nversion as nv

sys.path.insert(0, str(Path(__file__).parent))
from whole import networks

NORMS = ("l2", "linf")


def part(
    folder: Path, data_dir: Path, voter: str, count: int, share: slice
) -> list[tuple[list[float], int]]:
    """Attack a share of the images in each norm; return the distances and the passes."""
    torch.set_num_threads(1)
    program = nv.Program(list(networks(folder).values()), voter)
    test = nv.load_dataset("mnist", data_dir).test
    images, labels = test.images[: 2 * count], test.labels[: 2 * count]
    right = (program.vote(images).labels == labels).nonzero().squeeze(1)[:count][share]
    found = []
    for norm in NORMS:
        result = nv.attack_program(program, images[right], labels[right], norm=norm)
        sizes = result.l2 if norm == "l2" else result.linf
        found.append((sizes.tolist(), result.forwards + result.backwards))
    return found


def main() -> None:
    """Run the parts side by side and print one line a norm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("versions", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--voter", default="mean-softmax")
    asked = parser.parse_args()
    started = time.perf_counter()
    with ProcessPoolExecutor(asked.workers, mp_context=get_context("spawn")) as pool:
        given = (asked.versions, asked.data_dir, asked.voter, asked.images)
        waiting = [
            pool.submit(part, *given, slice(first, None, asked.workers))
            for first in range(asked.workers)
        ]
        parts = [one.result() for one in waiting]
    for place, norm in enumerate(NORMS):
        distances = torch.tensor([value for one in parts for value in one[place][0]])
        passes = sum(one[place][1] for one in parts)
        print(
            f"{norm}: {int(distances.isfinite().sum())} of {len(distances)} fall, median "
            f"{float(distances.quantile(0.5)):.4f}, {passes / len(distances):.0f} passes an image"
        )
    print(f"{time.perf_counter() - started:.0f} s with {asked.workers} processes")


if __name__ == "__main__":
    main()
