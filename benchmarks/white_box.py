"""Versions chosen for an attacker who knows the program, beside other choices.

    python benchmarks/white_box.py --versions FOLDER --data-dir PATH_OF_MNIST [--size N]
        [--images N] [--attack NAME]

FOLDER has folders of versions trained on MNIST (``nversion train ... --data mnist``). Versions are
chosen by :class:`nversion.selection.WhiteBox` on 150 training images, by accuracy and by coincident
failures on the first half of the test images, and as they come. Each program (mean logits, equal
weights unless they are fitted) is then attacked as a whole on the first test images of the second
half, on which accuracy is measured too. The distance of an image that is wrong already is 0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nversion as nv
from nversion.program.white_box import white_box
from nversion.selection import Accuracy, Coincidence, best_first, fit_weights, greedy

TRAINING_IMAGES = 150


def main() -> None:
    """Choose, attack and print."""
    parser = argparse.ArgumentParser(description="Choose versions against a white-box attacker.")
    parser.add_argument("--versions", type=Path, required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--size", type=int, default=4)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--attack", default="deepfool")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    versions = [nv.Version.load(one) for one in sorted(arguments.versions.iterdir())]
    data = nv.load_dataset("mnist", arguments.data_dir)
    choices = choose(versions, data, arguments.size)
    half = len(data.test) // 2
    rows = slice(half, half + arguments.images)
    logits = torch.stack([_logits(version) for version in versions])[:, half:]
    accuracy = Accuracy(logits, data.test.labels[half:])
    print(f"{'choice':28}{'versions':>9}{'predicted':>10}{'median L2':>10}{'right':>8}")
    for name, (weights, predicted) in choices.items():
        members = np.nonzero(weights)[0]
        program = nv.Program(
            [versions[one].model for one in members],
            voter="mean-logits",
            weights=[float(one) for one in weights[members]],
        )
        l2 = distances(program, arguments.attack, data.test.images[rows], data.test.labels[rows])
        weighted = (torch.from_numpy(weights)[:, None, None] * logits).sum(dim=0)
        right = float((weighted.argmax(dim=1) == data.test.labels[half:]).double().mean())
        if len(set(weights[members])) == 1:
            right = accuracy.score(members.tolist())
        print(
            f"{name:28}{len(members):9}{predicted:10.3f}{float(l2.median()):10.3f}{right:8.2%}",
            flush=True,
        )


def choose(versions: Sequence[nv.Version], data: nv.Dataset, size: int) -> dict[str, Any]:
    """Return weights of the versions, and the predicted distance, by the name of the choice."""
    half, count = len(data.test) // 2, len(versions)
    order = torch.randperm(len(data.train), generator=torch.Generator().manual_seed(0))
    rows = order[:TRAINING_IMAGES]
    start = time.process_time()
    criterion = white_box(
        [version.model for version in versions], data.train.images[rows], data.train.labels[rows]
    )
    made = time.process_time()
    by_distance = greedy(criterion, size).members
    chosen = time.process_time()
    fitted, fitted_few = fit_weights(criterion), fit_weights(criterion, size=size)
    print(
        f"seconds: margins and gradients {made - start:.1f}, greedy {chosen - made:.2f}, two fits "
        f"{time.process_time() - chosen:.1f}"
    )
    logits = torch.stack([_logits(version) for version in versions])[:, :half]
    labels = data.test.labels[:half]
    wrong = (logits.argmax(dim=2) != labels).numpy()
    accuracy = Accuracy(logits, labels)
    best = best_first(accuracy)[0]
    members = {
        f"white-box, {size}": by_distance,
        f"accuracy, {size}": greedy(accuracy, size).members,
        f"coincident failures, {size}": greedy(Coincidence(wrong), size).members,
        f"the {size} best alone": best[:size],
        f"the first {size}": range(size),
        "all": range(count),
        "the farthest alone": [int(criterion.extensions(()).argmax())],
        "the best alone": best[:1],
    }
    found = {}
    for name, chosen_members in members.items():
        weights = np.zeros(count)
        weights[list(chosen_members)] = 1.0
        found[name] = (weights, criterion.score(list(chosen_members)))
    found[f"fitted weights, {size}"] = (fitted_few, criterion.weighted_score(fitted_few))
    found["fitted weights, all"] = (fitted, criterion.weighted_score(fitted))
    return found


def distances(
    program: nv.Program, attack: str, images: torch.Tensor, labels: torch.Tensor
) -> torch.Tensor:
    """Return the L2 distance of the nearest image found; 0 where the program is wrong already."""
    result = nv.attacks.create(attack)(program, images, labels, seed=0)
    wrong = program.vote(images).labels != labels
    found = torch.where(result.success, result.l2, torch.inf)
    return torch.where(wrong, torch.zeros_like(found), found)


def _logits(version: nv.Version) -> torch.Tensor:
    if version.test_logits is None:
        raise SystemExit(f"{version.name} has no stored outputs on the test images")
    return version.test_logits


if __name__ == "__main__":
    main()
