"""A version: one trained network with its architecture and its record, in memory and on disk.

On disk a version is a folder: ``architecture.txt`` (text), ``weights.safetensors`` (never pickled,
so a folder from outside can be loaded safely), ``record.json`` (what was trained, how and how
well) and, where known, ``test-logits.safetensors``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nversion.architectures import Architecture
from nversion.errors import ArtefactError, NVersionError
from nversion.files import read_json, read_tensors, write_json, write_tensors, write_text
from nversion.modes import ordinary

__all__ = ["Record", "Version"]

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of one training run; all of it JSON values.

    Attributes:
        name: the version's name.
        dataset: the dataset's name.
        dataset_digest: SHA-256 of the dataset's content.
        shape: channels, height, width of an image.
        classes: how many.
        seed: the seed that was given to :func:`nversion.train`.
        recipe: every value of the recipe.
        precision: "float32" or "bfloat16", of the training; the weights are float32.
        parameters: trainable parameters.
        steps: optimiser steps taken.
        loss: mean training loss of the last epoch.
        train_accuracy: share of training images classified correctly, in [0, 1].
        train_accuracy_images: how many training images that was measured on.
        test_accuracy: share of all test images classified correctly, in [0, 1].
        seconds: wall-clock time of training and measuring.
        libraries: versions of the libraries that computed it.
    """

    name: str
    dataset: str
    dataset_digest: str
    shape: tuple[int, int, int]
    classes: int
    seed: int
    recipe: dict[str, Any]
    precision: str
    parameters: int
    steps: int
    loss: float
    train_accuracy: float
    train_accuracy_images: int
    test_accuracy: float
    seconds: float
    libraries: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Version:
    """One trained network.

    Attributes:
        name: unique within a study.
        architecture: what was built.
        model: images [count, channels, height, width] to logits [count, classes]; in evaluation
            mode, float32, on the CPU.
        record: how it came about and how good it is.
        test_logits: float32 [test images, classes], or None where they were not kept.
    """

    name: str
    architecture: Architecture
    model: nn.Sequential
    record: Record
    test_logits: Tensor | None = None

    def save(self, folder: str | Path) -> Path:
        """Write the version's files into `folder`, each atomically, the record last."""
        folder = Path(folder)
        write_text(folder / "architecture.txt", self.architecture.to_text())
        write_tensors(folder / "weights.safetensors", self.model.state_dict())
        if self.test_logits is not None:
            write_tensors(folder / "test-logits.safetensors", {"logits": self.test_logits})
        write_json(folder / "record.json", {"format": FORMAT, **dataclasses.asdict(self.record)})
        return folder

    @classmethod
    @ordinary()
    def load(cls, folder: str | Path) -> Version:
        """Read a version that :meth:`save` wrote.

        Raises:
            ArtefactError: a file is missing or damaged, of another format, or the weights do not
                fit the architecture.
        """
        folder = Path(folder)
        record = _read_record(folder / "record.json")
        try:
            architecture = dataclasses.replace(
                Architecture.load(folder / "architecture.txt"), name=record.name
            )
            model = architecture.build(record.shape, record.classes)
        except (NVersionError, OSError) as error:
            raise ArtefactError(f"{folder}: the architecture cannot be read: {error}") from error
        weights, _ = read_tensors(folder / "weights.safetensors")
        _load_weights(model, weights, folder / "weights.safetensors")
        logits = None
        if (folder / "test-logits.safetensors").is_file():
            logits = read_tensors(folder / "test-logits.safetensors")[0]["logits"]
        return cls(record.name, architecture, model.eval(), record, logits)


def _read_record(path: Path) -> Record:
    values = read_json(path)
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise ArtefactError(f"{path}: not a version's record of format {FORMAT}")
    try:
        return Record(**{**values, "shape": tuple(values["shape"])})
    except (TypeError, KeyError) as error:
        raise ArtefactError(f"{path}: not a version's record: {error}") from error


def _load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != found:
        different = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        raise ArtefactError(
            f"{path}: the weights do not fit the architecture; first difference: "
            f"{different[0]}: {found.get(different[0])} instead of {expected.get(different[0])}"
        )
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ArtefactError(f"{path}: the weights hold NaN or infinite values")
    with torch.no_grad():
        model.load_state_dict(weights)
