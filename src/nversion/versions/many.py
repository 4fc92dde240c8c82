"""Train many versions at the same time, on one thread each.

The results come in the order of the architectures, whichever finished first, and are the same for
every number of workers. A version that fails is reported in its place; the others go on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from nversion.architectures import Architecture
from nversion.arguments import typed
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import resolve_device
from nversion.errors import ArchitectureError, InputError
from nversion.files import TEMPORARY_FOLDER
from nversion.progress import progress_bar
from nversion.randomness import derive_seed
from nversion.versions.recipe import Recipe, load_recipe
from nversion.versions.training import Precision, train
from nversion.versions.version import Version
from nversion.workers import Engine, Failure, Task, Where

__all__ = ["Outcome", "train_each", "train_many", "version_seed"]


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


@typed
def train_many(
    architectures: Sequence[Architecture],
    data: Dataset,
    recipe: str | Recipe = "study",
    seed: int = 0,
    *,
    workers: int | str = "auto",
    engine: Engine = "auto",
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
        workers: how many, or "auto" for one per core.
        engine: what runs them (see :data:`nversion.workers.Engine`).
        address: of a running Ray cluster of this machine; "" starts one.
        device: as for :func:`nversion.train`.
        precision: likewise.

    Returns:
        One outcome per architecture, in their order.

    Raises:
        InputError: an architecture has no name, or two have the same.
        ConfigError: the recipe is wrong.
    """
    trained = train_each(
        architectures,
        data,
        recipe,
        seed,
        where=Where.of(workers, engine, address, device),
        device=device,
        precision=precision,
    )
    outcomes = {outcome.name: outcome for outcome in trained}
    return [outcomes[str(architecture.name)] for architecture in architectures]


def train_each(
    architectures: Sequence[Architecture],
    data: Dataset,
    recipe: str | Recipe = "study",
    seed: int = 0,
    *,
    where: Where,
    device: str = "cpu",
    precision: Precision = "auto",
) -> Iterator[Outcome]:
    """Train one version of each architecture and yield each as it is done, so that none is kept.

    The arguments and errors are those of :func:`train_many`; `where` is workers, engine and
    address. The order is that in which they end.
    """
    recipe, on = load_recipe(recipe), resolve_device(device)
    names = [architecture.name or "" for architecture in architectures]
    if "" in names or len(set(names)) < len(names):
        raise InputError("each architecture needs a name of its own")
    # The dearest first, so that no worker is left with a long one at the end.
    architectures = sorted(architectures, key=lambda a: -_work(a, data))
    names = [str(architecture.name) for architecture in architectures]
    with (
        where.pool(len(names)) as pool,
        tempfile.TemporaryDirectory(prefix=TEMPORARY_FOLDER) as folder,
        progress_bar("training versions", len(names)) as advance,
    ):
        shared = SharedDataset.of(data) if pool.here else SharedDataset.stored(data, Path(folder))
        tasks: Iterator[Task] = (
            (
                _train_shared,
                {
                    "shared": shared,
                    "architecture": architecture,
                    "recipe": recipe,
                    "seed": version_seed(seed, name),
                    "precision": precision,
                    "device": on,
                },
            )
            for architecture, name in zip(architectures, names, strict=True)
        )
        with contextlib.closing(pool.run(tasks)) as results:
            for index, result in results:
                failed = isinstance(result, Failure)
                yield Outcome(
                    names[index], None if failed else result, str(result) if failed else None
                )
                advance()


def _work(architecture: Architecture, data: Dataset) -> int:
    """Return the multiply-adds for one image; 0 for what will fail, and is reported then."""
    try:
        return architecture.multiply_adds(data.shape, data.classes)
    except ArchitectureError:
        return 0


def _train_shared(
    shared: SharedDataset,
    architecture: Architecture,
    recipe: Recipe,
    seed: int,
    precision: Precision,
    device: torch.device,
) -> Version:
    return train(architecture, shared.open(), recipe, seed, precision=precision, device=device)
