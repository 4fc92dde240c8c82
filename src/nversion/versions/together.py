"""Versions that train together, by an objective that keeps them apart; and disjoint data.

Optimiser, schedule and order of the images are those of :mod:`nversion.versions.descent` for every
network, and one loss is taken for all of them. What one network becomes depends on the others, so
that such versions are trained in one process, and are remade together.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nversion.architectures import Architecture
from nversion.datasets import Dataset, Split
from nversion.errors import InputError, TrainingError
from nversion.modes import ordinary
from nversion.objectives import Batch
from nversion.objectives.together import JointObjective
from nversion.randomness import derive_seed, generator
from nversion.versions.arrangement import arranged
from nversion.versions.descent import learning_rate, optimiser
from nversion.versions.recipe import Recipe, load_recipe
from nversion.versions.training import Training, as_version
from nversion.versions.version import Version

__all__ = ["disjoint", "train_together"]


@ordinary()
def train_together(
    architectures: Sequence[Architecture],
    data: Dataset,
    objective: JointObjective,
    recipe: str | Recipe = "fast",
    seed: int = 0,
    *,
    advance: Callable[[], None] = lambda: None,
) -> list[Version]:
    """Train one network of each architecture, all by one loss.

    One seed gives the same bits on one machine and thread count. The arithmetic is float32.

    Args:
        architectures: two at least, each with a name of its own.
        data: the dataset.
        objective: the loss of all networks.
        recipe: optimiser, schedule, epochs and batches; its objective is not used.
        seed: decides weights, order and dropout.
        advance: called after each epoch.

    Raises:
        InputError: there are fewer than two architectures, or names are missing or twice there.
        TrainingError: the loss became NaN or infinite, or a network stayed at chance.
    """
    names = [architecture.name or "" for architecture in architectures]
    if len(names) < 2 or "" in names or len(set(names)) < len(names):
        raise InputError(
            "networks that train together must be two at least, each with a name of its own"
        )
    chosen = load_recipe(recipe)
    started = time.perf_counter()
    models = [
        architecture.build(data.shape, data.classes, seed=derive_seed(seed, "weights", name))
        for architecture, name in zip(architectures, names, strict=True)
    ]
    draws = [torch.Generator().manual_seed(derive_seed(seed, "dropout", name)) for name in names]
    for model in models:
        model.train()
    with contextlib.ExitStack() as stack:
        networks = [
            stack.enter_context(arranged(model, data.shape, drawn))
            for model, drawn in zip(models, draws, strict=True)
        ]
        steps, loss = _descend(networks, draws, data.train, objective, chosen, seed, advance)
    kept = chosen.model_copy(
        update={
            "objective": "cross-entropy",
            "name": f"{chosen.name}, {objective.name} with {len(names)} networks",
        }
    )
    return [
        as_version(
            model.eval(),
            architecture,
            data,
            Training(name, kept, seed, "float32", steps, loss, started),
        )
        for model, architecture, name in zip(models, architectures, names, strict=True)
    ]


def _descend(
    networks: Sequence[nn.Module],
    draws: Sequence[torch.Generator],
    split: Split,
    objective: JointObjective,
    recipe: Recipe,
    seed: int,
    advance: Callable[[], None],
) -> tuple[int, float]:
    optimisers = [optimiser(network, recipe) for network in networks]
    memories: list[dict[str, object]] = [{} for _ in networks]
    order = generator(seed, "order")
    per_epoch = math.ceil(len(split) / recipe.batch_size)
    total = min(per_epoch * recipe.epochs, recipe.max_steps or per_epoch * recipe.epochs)
    taken, mean = 0, math.nan
    while taken < total:
        losses = []
        rows = torch.randperm(len(split), generator=order)[: (total - taken) * recipe.batch_size]
        for batch in torch.split(rows, recipe.batch_size):
            images, labels = split.images[batch], split.labels[batch]
            rate = recipe.learning_rate * learning_rate(recipe, taken, total)
            loss = objective.step(
                [
                    Batch(network, images, labels, labels, drawn, taken / total, memory=memory)
                    for network, drawn, memory in zip(networks, draws, memories, strict=True)
                ]
            )
            loss.backward()  # type: ignore[no-untyped-call]
            for one in optimisers:
                for group in one.param_groups:
                    group["lr"] = rate
                one.step()
                one.zero_grad(set_to_none=True)
            losses.append(loss.detach())
            taken += 1
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise TrainingError(
                f"{objective.name}: the loss became {mean} by step {taken} of {total}; "
                "a smaller learning rate or weight may help"
            )
        advance()
    return taken, mean


def disjoint(data: Dataset, parts: int, seed: int = 0) -> list[Dataset]:
    """Return the dataset `parts` times, each with a part of the training images of its own.

    Every class is shared out evenly; the test split stays whole.

    Raises:
        InputError: a part would have no image of some class.
    """
    if parts < 1:
        raise InputError(f"parts must be at least 1, not {parts}")
    labels = data.train.labels
    of_part: list[list[Tensor]] = [[] for _ in range(parts)]
    for label in range(data.classes):
        rows = torch.nonzero(labels == label).flatten()
        if len(rows) < parts:
            raise InputError(
                f"class {label} has {len(rows)} training images, too few for {parts} parts"
            )
        rows = rows[torch.randperm(len(rows), generator=generator(seed, "disjoint", label))]
        for part in range(parts):
            of_part[part].append(rows[part::parts])
    splits = []
    for chosen in of_part:
        rows = torch.cat(chosen).sort().values
        splits.append(
            dataclasses.replace(data, train=Split(data.train.images[rows], data.train.labels[rows]))
        )
    return splits
