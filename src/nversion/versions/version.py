"""A version: one trained network with its architecture and its record, in memory and on disk.

On disk a version is a folder: ``architecture.txt`` (text), ``weights.safetensors`` (never pickled,
so a folder from outside can be loaded safely), ``record.json`` (what was trained, how and how
well, and the SHA-256 of each of the other files) and, where known, ``test-logits.safetensors``.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nversion.architectures import Architecture
from nversion.errors import ArtefactError, InputError, NVersionError
from nversion.files import (
    read_object,
    read_tensor,
    read_tensors,
    sha256_of_file,
    write_json,
    write_tensors,
    write_text,
)
from nversion.modes import ordinary
from nversion.reading import check_name, checked, shortened

__all__ = ["Origin", "Record", "Version", "read_logits"]

FORMAT = 2

FORMAT_WITHOUT_CHECKSUMS = 1
"""What was written before the record held the checksums of the files; it is still read."""

ARCHITECTURE, WEIGHTS, LOGITS, RECORD = (
    "architecture.txt",
    "weights.safetensors",
    "test-logits.safetensors",
    "record.json",
)


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a version came from that was not trained here.

    Attributes:
        file: the name of its file or folder, without the folders above it.
        format: the name of the file's format, such as "onnx".
        sha256: of the file; of a folder, of the file that holds its weights.
        feed: how it is fed, as ``version.toml`` would say it.
    """

    file: str
    format: str
    sha256: str
    feed: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of one training run; all of it JSON values.

    Of a version that was not trained here (`origin` says where it is from), what is not known is
    empty, 0 or NaN: dataset and its digest, seed, recipe, steps, loss, accuracies and seconds.

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
        origin: where it came from; None if it was trained here.
        class_names: what its classes are called, in order; empty where that is not known.
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
    origin: Origin | None = None
    class_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Version:
    """One trained network.

    Attributes:
        name: unique within a study.
        architecture: what was built; None of a network from elsewhere, which no text describes.
        model: images [count, channels, height, width] to logits [count, classes]; in evaluation
            mode, on the CPU; float32 if it was trained here.
        record: how it came about and how good it is.
        test_logits: float32 [test images, classes], or None where they were not kept.
        checked: whether its files had the checksums of its record; False for a record that was
            written before records held any.
    """

    name: str
    architecture: Architecture | None
    model: nn.Module
    record: Record
    test_logits: Tensor | None = None
    checked: bool = True

    def __repr__(self) -> str:
        record, origin = self.record, self.record.origin
        parameters = f"{record.parameters:,} parameters"
        if origin is not None:
            return f"Version({self.name}: from {origin.file} ({origin.format}), {parameters})"
        right = f"{record.test_accuracy:.2%} of its test images right"
        return f"Version({self.name}: {parameters}, trained on {record.dataset}, {right})"

    def save(self, folder: str | Path) -> Path:
        """Write the version's files into `folder`, each atomically, the record last.

        Raises:
            InputError: the version's name could not be the name of a folder, or the version is
                from elsewhere and has no architecture in words.
        """
        folder = Path(folder)
        if self.architecture is None:
            raise InputError(
                f"{self.name} was not trained here, so that there is no text of its architecture "
                "to save; keep its own file, or export it as ONNX or torch.export"
            )
        check_name(self.record.name, "the version", InputError)
        check_name(self.record.dataset, f"the dataset of {self.record.name}", InputError)
        write_text(folder / ARCHITECTURE, self.architecture.to_text())
        write_tensors(folder / WEIGHTS, self.model.state_dict())
        names = [ARCHITECTURE, WEIGHTS]
        if self.test_logits is not None:
            write_tensors(folder / LOGITS, {"logits": self.test_logits})
            names.append(LOGITS)
        else:
            (folder / LOGITS).unlink(missing_ok=True)
        checksums = {name: sha256_of_file(folder / name) for name in names}
        values = dataclasses.asdict(self.record)
        if self.record.origin is None:
            del values["origin"]
        if not self.record.class_names:
            del values["class_names"]
        write_json(folder / RECORD, {"format": FORMAT, **values, "sha256": checksums})
        return folder

    @classmethod
    @ordinary()
    def load(cls, folder: str | Path) -> Version:
        """Read a version that :meth:`save` wrote.

        Raises:
            ArtefactError: a file is missing, damaged or of another format, does not have the
                checksum in the record, or the weights do not fit the architecture.
        """
        folder = Path(folder)
        record, checksums = _read_record(folder / RECORD)
        for name, checksum in checksums.items():
            _check_file(folder / name, checksum)
        try:
            architecture = Architecture.load(folder / ARCHITECTURE, name=record.name)
            model = architecture.build(record.shape, record.classes)
        except (NVersionError, OSError) as error:
            raise ArtefactError(f"{folder}: the architecture cannot be read: {error}") from error
        weights, _ = read_tensors(folder / WEIGHTS)
        _load_weights(model, weights, folder / WEIGHTS)
        logits = None
        if (folder / LOGITS).is_file():
            logits = read_logits(folder / LOGITS, classes=record.classes)
        return cls(record.name, architecture, model.eval(), record, logits, bool(checksums))


def read_logits(path: Path, images: int | None = None, classes: int | None = None) -> Tensor:
    """Return a version's logits on the test images, float32 [images, classes].

    Args:
        path: the file.
        images: how many test images there are, if that is known.
        classes: how many classes there are, if that is known.

    Raises:
        ArtefactError: the file is missing or damaged, or holds other numbers than these.
    """
    logits = read_tensor(path, "logits")
    fits = logits.ndim == 2 and logits.dtype == torch.float32
    for place, wanted in enumerate((images, classes)):
        fits = fits and (wanted is None or logits.shape[place] == wanted)
    if not fits:
        expected = f"[{images or 'test images'}, {classes or 'classes'}]"
        raise ArtefactError(
            f"{path}: logits must be float32 {expected}, not {logits.dtype} {list(logits.shape)}"
        )
    if not bool(logits.isfinite().all()):
        raise ArtefactError(f"{path}: the logits hold NaN or infinite values")
    return logits


def _read_record(path: Path) -> tuple[Record, dict[str, str]]:
    """Return a version's record, and the checksums of its files; none if they were not kept."""
    values = read_object(path)
    form = values.pop("format", None)
    if form not in (FORMAT_WITHOUT_CHECKSUMS, FORMAT):
        raise ArtefactError(
            f"{path}: not a version's record of format {FORMAT_WITHOUT_CHECKSUMS} or {FORMAT}"
        )
    checksums = {} if form == FORMAT_WITHOUT_CHECKSUMS else values.pop("sha256", None)
    record = checked(Record, values, f"{path}: not a version's record")
    check_name(record.name, f"{path}: name")
    check_name(record.dataset, f"{path}: dataset")
    if form == FORMAT:
        named = set(checksums) if isinstance(checksums, dict) else set()
        if named - {LOGITS} != {ARCHITECTURE, WEIGHTS}:
            raise ArtefactError(
                f"{path}: sha256 must give the checksums of {ARCHITECTURE} and {WEIGHTS}"
            )
        if LOGITS not in named and (path.parent / LOGITS).is_file():
            raise ArtefactError(f"{path.parent / LOGITS}: does not belong to the version")
    return record, checksums


def _check_file(path: Path, checksum: Any) -> None:
    """Raise unless a file has the checksum in its version's record."""
    if not path.is_file():
        raise ArtefactError(f"{path}: no such file")
    if sha256_of_file(path) != checksum:
        raise ArtefactError(
            f"{path}: was changed or damaged: it does not have the SHA-256 that {RECORD} gives; "
            "copy the version again, or train it anew"
        )


def _load_weights(model: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    def kind(value: Tensor) -> str:
        return f"{value.dtype} {list(value.shape)}"

    expected = {name: kind(value) for name, value in model.state_dict().items()}
    found = {name: kind(value) for name, value in weights.items()}
    if expected != found:
        different = sorted(
            name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
        )
        first = different[0]
        raise ArtefactError(
            f"{path}: the weights do not fit the architecture; first difference: "
            f"{shortened(first)}: {found.get(first)} instead of {expected.get(first)}"
        )
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise ArtefactError(f"{path}: the weights hold NaN or infinite values")
    with torch.no_grad():
        model.load_state_dict(weights)
