"""What objectives cost, and what the recipes that come with the package give, on MNIST.

    python benchmarks/objectives.py cost --data-dir data
    python benchmarks/objectives.py cost --data-dir data --names interval,interval:share=0.5
    python benchmarks/objectives.py shares --epochs 40
    python benchmarks/objectives.py recipes --data-dir data --out /tmp/recipes.json

Costs are processor seconds of the training loop on one thread, as multiples of the plain step's in
the same process, steps of the two taken in turn. A recipe's figures are of one network: accuracy on
test images, the smallest change that attacks find, and certified radii. A smaller network and fewer
epochs than a recipe's own make them quick, and worse than the recipe can do.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

import nversion as nv
from nversion.objectives import Batch, create_objective, objective_names
from nversion.objectives.boxes import interval_leads
from nversion.versions import load_recipe
from nversion.versions.arrangement import arranged

ARCHITECTURE = """conv, 16, relu
conv, 32, relu
maxpooling
flatten
dense, 64, relu
"""
BATCH = 128
RECIPES = ("fast", "robust-l2", "robust-linf", "certified-l2", "certified-linf")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cost", "recipes", "shares"))
    parser.add_argument("--data-dir")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument(
        "--names", default="", help="objectives (with :option=number) or recipes, by commas"
    )
    parser.add_argument("--architecture", type=Path, help="of the recipes' networks: a text file")
    parser.add_argument("--epochs", type=int, default=0, help="in place of each recipe's own")
    parser.add_argument("--out", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "shares":
        shares(given.epochs or 40)
        return
    data = nv.load_dataset("mnist", root=given.data_dir)
    names = [name for name in given.names.split(",") if name]
    if given.what == "cost":
        costs(data, names or objective_names(), given.rounds)
    else:
        text = given.architecture.read_text() if given.architecture else ARCHITECTURE
        chosen = {name: load_recipe(name) for name in names or RECIPES}
        if given.epochs:
            less = {"epochs": given.epochs}
            chosen = {name: one.model_copy(update=less) for name, one in chosen.items()}
        recipes(data, nv.Architecture.parse(text), chosen, given.images, given.out)


def costs(data: nv.Dataset, names: list[str], rounds: int) -> None:
    """Print each objective's processor time as a multiple of the cross-entropy's."""
    model = nv.Architecture.parse(ARCHITECTURE).build(data.shape, data.classes, seed=0).train()
    draws = torch.Generator().manual_seed(0)
    teacher = torch.full((BATCH, data.classes), 0.1)
    with arranged(model, data.shape, draws) as network:
        batch = Batch(
            network,
            data.train.images[:BATCH],
            data.train.labels[:BATCH],
            data.train.labels[:BATCH],
            draws,
            progress=0.9,
            teacher=lambda images: teacher[: len(images)],
        )
        plain = create_objective("cross-entropy")
        print("| objective | times plain |\n| --- | ---: |")
        for name in names:
            called, *options = name.split(":")
            pairs = (option.partition("=") for option in options)
            objective = create_objective(called, **{key: float(text) for key, _, text in pairs})
            ratios = []
            for _ in range(rounds):
                ratios.append(_seconds(network, objective, batch) / _seconds(network, plain, batch))
            print(f"| {name} | {statistics.median(ratios[2:]):.2f} |", flush=True)


def shares(epochs: int, networks: int = 5) -> None:
    """Print what interval bounds of all and of half of a batch's images prove, on digits."""
    data = nv.load_dataset("digits")
    architecture = nv.Architecture.parse("conv, 8, relu\nmaxpooling\nflatten\ndense, 32, relu")
    images, labels = data.test.images, data.test.labels
    recipe = load_recipe("certified-linf").model_copy(update={"epochs": epochs, "batch_size": 64})
    options = {"radius": 0.15, "ramp": 0.7, "start": 0.05, "clean": 0.5}
    for share in (1.0, 0.5):
        rows = []
        for seed in range(networks):
            chosen = recipe.with_objective("interval", **options, share=share)
            started = time.process_time()
            version = nv.train(architecture, data, chosen, seed=seed, precision="float32")
            seconds = time.process_time() - started
            batch = Batch(version.model, images, labels, labels, torch.Generator())
            with torch.no_grad():
                proved = [
                    float((interval_leads("", batch, radius).amin(dim=1) > 0).double().mean())
                    for radius in (0.05, 0.1, 0.15)
                ]
            rows.append([version.record.test_accuracy, *proved, seconds])
        means = [statistics.mean(column) for column in zip(*rows, strict=True)]
        print(share, " ".join(f"{value:.4f}" for value in means), flush=True)


def _seconds(network: nn.Module, objective: Any, batch: Batch) -> float:
    network.zero_grad()
    started = time.process_time()
    objective.step(batch).backward()
    return time.process_time() - started


def recipes(
    data: nv.Dataset,
    architecture: nv.Architecture,
    chosen: Mapping[str, nv.Recipe],
    images: int,
    out: Path | None,
) -> None:
    """Train one network by each recipe, and print what it withstands and what is proved."""
    done: dict[str, Any] = json.loads(out.read_text()) if out and out.is_file() else {}
    for name, recipe in chosen.items():
        if name not in done:
            started = time.process_time()
            version = nv.train(architecture, data, recipe, seed=1, precision="float32")
            seconds = time.process_time() - started
            done[name] = {"training": seconds, **measured(version, data, images)}
            if out:
                out.write_text(json.dumps(done, indent=2))
        print(name, json.dumps(done[name]), flush=True)


def measured(version: nv.Version, data: nv.Dataset, count: int) -> dict[str, float]:
    """Return accuracy, medians of attacks and medians of certified radii (wrong images as 0)."""
    images, labels = data.test.images[:count], data.test.labels[:count]
    found: dict[str, float] = {"test_accuracy": version.record.test_accuracy}
    for norm, radius, attacks in (
        ("2", 1.5, ("carlini-wagner", "deepfool")),
        ("inf", 0.3, ("random-pgd", "deepfool")),
    ):
        key = "l2" if norm == "2" else "linf"
        nearest = torch.full((count,), torch.inf)
        for name in attacks:
            result = nv.attacks.create(name)(version.model, images, labels, seed=0)
            distance = getattr(result, key)
            nearest = torch.minimum(nearest, distance.masked_fill(result.already_misclassified, 0))
        found[f"attacked_{key}"] = float(nearest.median())
        found[f"robust_{key}_{radius}"] = float((nearest > radius).double().mean())
        radii = nv.certify(version.model, images, labels, float(norm))
        found[f"certified_{key}"] = float(radii.median())
        for at in (0.5, 1.0) if key == "l2" else (0.1, 0.3):
            found[f"certified_{key}_{at}"] = float((radii >= at).double().mean())
    return found


if __name__ == "__main__":
    main()
