"""Stage 1: train the versions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from nversion.architectures import Architecture, catalogue
from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import resolve_device
from nversion.errors import ArtefactError, ConfigError, StudyError
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Entry, Unit
from nversion.study.units.training import train_version
from nversion.versions import Precision, Recipe, create_objective, load_recipe, resolve_precision
from nversion.versions.many import version_seed
from nversion.versions.version import read_logits

__all__ = ["TrainedVersion", "study_architectures", "train_unit", "train_versions"]

OUTPUTS = ("architecture.txt", "weights.safetensors", "record.json", "test-logits.safetensors")


@dataclasses.dataclass(frozen=True)
class TrainedVersion:
    """A version that is there, known by name; its network is loaded when it is needed.

    Attributes:
        name: of the version.
        weights: SHA-256 of its weights, for the digests of the work that rests on it.
        folder: where it lies.
    """

    name: str
    weights: str
    folder: Path

    def correct(self, data: Dataset) -> Tensor:
        """Return whether each test image is classified correctly, bool [test images]."""
        images = len(data.test)
        logits = read_logits(self.folder / "test-logits.safetensors", images, data.classes)
        return logits.argmax(dim=1) == data.test.labels


def study_architectures(config: StudyConfig, data: Dataset) -> list[Architecture]:
    """Return the architectures of the study's versions, in their order.

    Raises:
        ConfigError: there are fewer than the study wants.
        ArchitectureError: a file cannot be read or does not fit the images.
    """
    section = config.versions
    if section.architectures == "catalogue":
        return catalogue(section.count, data.shape, data.classes)
    folder = Path(section.architectures)
    files = sorted(folder.glob("*.txt"), key=lambda path: (len(path.stem), path.stem))
    if len(files) < section.count:
        raise ConfigError(
            f"versions.architectures: {folder} holds {len(files)} .txt files, "
            f"but the study wants {section.count} versions"
        )
    architectures = [Architecture.load(path) for path in files[: section.count]]
    for architecture in architectures:
        architecture.check(data.shape, data.classes)
    return architectures


def train_versions(
    config: StudyConfig, folder: StudyFolder, data: Dataset, shared: SharedDataset, engine: Engine
) -> list[TrainedVersion]:
    """Train what is not there yet and return the versions that did not fail, in order.

    Raises:
        StudyError: every version failed.
    """
    recipe = load_recipe(config.versions.recipe)
    units = [
        train_unit(
            name=f"versions/{architecture.name}",
            architecture=architecture,
            folder=folder.version(str(architecture.name)),
            root=folder,
            shared=shared,
            recipe=recipe,
            seed=version_seed(config.seed, str(architecture.name)),
            precision=config.versions.precision,
            device=resolve_device(config.run.device),
            cost=architecture.multiply_adds(data.shape, data.classes),
        )
        for architecture in study_architectures(config, data)
    ]
    entries = engine.run("training versions", units)
    if not entries:
        raise StudyError(f"every version failed; the first: {engine.failures[0][1]}")
    return [
        TrainedVersion(
            name.removeprefix("versions/"),
            weights_of(entry),
            folder.version(name.removeprefix("versions/")),
        )
        for name, entry in entries.items()
    ]


def weights_of(entry: Entry) -> str:
    """Return the SHA-256 of the weights that a training unit left."""
    for output, checksum in entry.outputs.items():
        if output.endswith("/weights.safetensors"):
            return checksum
    raise ArtefactError("a training unit left no weights")


def train_unit(
    name: str,
    architecture: Architecture,
    folder: Path,
    root: StudyFolder,
    shared: SharedDataset,
    recipe: Recipe,
    seed: int,
    precision: Precision,
    device: torch.device,
    targets: Path | None = None,
    targets_digest: str = "",
    cost: float = 0.0,
) -> Unit:
    """Return the unit that trains one network into `folder`.

    Args:
        name: of the unit.
        architecture: with a name.
        folder: of the version, inside the study.
        root: the study's folder.
        shared: the dataset.
        recipe: how to train.
        seed: of the training.
        precision: wished for.
        device: where it is trained.
        targets: a file with soft labels, or None for the true ones.
        targets_digest: SHA-256 of that file.
        cost: multiply-adds of the network for one image.
    """
    return Unit(
        name=name,
        function=train_version,
        arguments={
            "shared": shared,
            "architecture": architecture,
            "recipe": recipe,
            "seed": seed,
            "precision": precision,
            "device": device,
            "targets": targets,
            "folder": folder,
        },
        inputs={
            "data": shared.digest,
            "architecture": architecture.to_text(),
            "recipe": recipe.model_dump(),
            "seed": seed,
            "precision": resolve_precision(precision, architecture, device),
            "device": device.type,
            "targets": targets_digest,
        },
        outputs=tuple(root.relative(folder / output) for output in OUTPUTS),
        cost=cost,
        uses=(create_objective(recipe.objective),),
    )
