"""Train many versions at the same time, one single-threaded process per core.

The results come in the order of the architectures, whichever finished first, and are the same for
every number of processes. A version that fails is reported in its place; the others go on.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from nversion.architectures import Architecture
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import resolve_device
from nversion.errors import InputError
from nversion.progress import progress_bar
from nversion.randomness import derive_seed
from nversion.versions.recipe import Recipe, load_recipe
from nversion.versions.training import Precision, train
from nversion.versions.version import Version
from nversion.workers import Engine, Failure, Task, open_pool

__all__ = ["Outcome", "train_many", "version_seed"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one architecture.

    Attributes:
        name: of the version.
        version: the trained version, or None if it failed.
        error: why it failed, or None.
    """

    name: str
    version: Version | None
    error: str | None


def version_seed(seed: int, name: str) -> int:
    """Return the seed with which the version called `name` is trained in a run with `seed`."""
    return derive_seed(seed, "version", name)


def train_many(
    architectures: Sequence[Architecture],
    data: Dataset,
    recipe: str | Recipe = "study",
    seed: int = 0,
    *,
    workers: int | str = "auto",
    engine: Engine = "processes",
    address: str = "",
    device: str = "cpu",
    precision: Precision = "auto",
) -> list[Outcome]:
    """Train one version of each architecture.

    Args:
        architectures: each with a name of its own.
        data: the dataset.
        recipe: the same for all.
        seed: each version's own seed is derived from it and the version's name.
        workers: processes, or "auto" for one per core.
        engine: "processes" of this machine, or "ray".
        address: of a running Ray cluster of this machine; "" starts one.
        device: as for :func:`nversion.train`.
        precision: likewise.

    Returns:
        One outcome per architecture, in their order.

    Raises:
        InputError: an architecture has no name, or two have the same.
        ConfigError: the recipe is wrong.
    """
    recipe, where = load_recipe(recipe), resolve_device(device)
    names = [architecture.name or "" for architecture in architectures]
    if "" in names or len(set(names)) < len(names):
        raise InputError("each architecture needs a name of its own")
    outcomes: dict[int, Outcome] = {}
    with (
        open_pool(workers, engine, address) as pool,
        tempfile.TemporaryDirectory(prefix="nversion-") as folder,
        progress_bar("training versions", len(names)) as advance,
    ):
        shared = SharedDataset.of(data) if pool.here else SharedDataset.stored(data, Path(folder))
        tasks: list[Task] = [
            (
                _train_shared,
                {
                    "shared": shared,
                    "architecture": architecture,
                    "recipe": recipe,
                    "seed": version_seed(seed, name),
                    "precision": precision,
                    "device": where,
                },
            )
            for architecture, name in zip(architectures, names, strict=True)
        ]
        for index, result in pool.run(tasks):
            failed = isinstance(result, Failure)
            outcomes[index] = Outcome(
                names[index], None if failed else result, str(result) if failed else None
            )
            advance()
    return [outcomes[index] for index in range(len(names))]


def _train_shared(
    shared: SharedDataset,
    architecture: Architecture,
    recipe: Recipe,
    seed: int,
    precision: Precision,
    device: torch.device,
) -> Version:
    return train(architecture, shared.open(), recipe, seed, precision=precision, device=device)
