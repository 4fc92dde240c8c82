"""Make a version of a file from elsewhere: load it, try it on the test images, and refer to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nversion.datasets import Dataset
from nversion.datasets.shared import SharedDataset
from nversion.device import deterministic
from nversion.errors import InputError
from nversion.files import write_tensors
from nversion.formats.doubts import doubts_of
from nversion.formats.loading import weights_digest
from nversion.formats.reference import REFERENCE, Reference, path_from, write_reference
from nversion.formats.source import Source
from nversion.models import evaluate, frozen
from nversion.study.units.base import Unit
from nversion.versions import Version

__all__ = ["AdoptNetwork"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AdoptNetwork(Unit):
    """Try a network from elsewhere on the test images, and write where it is from.

    The network stays where it is. Whatever rests on it rests on the digest of its test logits too,
    so that work is made again where it comes to be converted otherwise.

    Attributes:
        called: the version's name.
        source: its file, with the dataset's classes.
        content: SHA-256 of the file.
        shared: the dataset.
        device: where it computes.
        folder: of the version, inside the study.
    """

    called: str
    source: Source
    content: str
    shared: SharedDataset
    device: torch.device
    folder: Path

    def run(self) -> None:
        """Load it, evaluate it, and write the reference last.

        Raises:
            InputError: it takes other images than the dataset's, or tells other classes apart.
            NVersionError: it cannot be loaded.
        """
        data, version = self.shared.open(), self.source.load()
        _check_fit(version, data, self.source.path)
        # Before its parameters are frozen and moved: how many there are.
        parameters = version.record.parameters
        logits = self._logits(version, data.test.images)
        right = logits.argmax(dim=1) == data.test.labels
        odd = () if version.record.origin is None else self._doubts(version, data)
        write_tensors(self.folder / "test-logits.safetensors", {"logits": logits})
        origin = version.record.origin
        reference = Reference(
            name=self.called,
            path=path_from(self.folder, self.source.path),
            file=self.source.path.name,
            format="nversion" if origin is None else origin.format,
            sha256=weights_digest(self.source.path, version),
            feed={} if origin is None else dict(origin.feed),
            classes=list(self.source.classes),
            kind=_kind(version.model),
            parameters=parameters,
            test_accuracy=float(right.double().mean()),
            doubts=list(odd),
        )
        write_reference(self.folder, reference)

    def _logits(self, version: Version, images: Tensor) -> Tensor:
        with deterministic(self.device), frozen(version.model.to(self.device)):
            return evaluate(version.model, images, name=self.called).float().cpu()

    def _doubts(self, version: Version, data: Dataset) -> list[str]:
        version.model.to("cpu")
        return doubts_of(version, data.test.images, data.test.labels, data.class_names)

    def inputs(self) -> Mapping[str, Any]:
        """Return the file with how it is fed, the images and the kind of device."""
        return {
            "name": self.called,
            "file": self.source.path.name,
            "content": self.content,
            "feed": self.source.whole_feed().facts(),
            "classes": list(self.source.classes),
            "data": self.shared.digest,
            "device": self.device.type,
        }

    def outputs(self) -> tuple[Path, ...]:
        """Return the reference and the logits."""
        return (self.folder / REFERENCE, self.folder / "test-logits.safetensors")


def _check_fit(version: Version, data: Dataset, path: Path) -> None:
    record = version.record
    if (tuple(record.shape), record.classes) != (tuple(data.shape), data.classes):
        raise InputError(
            f"{path}: takes images of {list(record.shape)} in {record.classes} classes, but "
            f"{data.name} has {list(data.shape)} in {data.classes}; say with versions.inputs how "
            "it is fed and which classes it knows (size=..., classes=...)"
        )


def _kind(model: nn.Module) -> str:
    convolutions = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
    found = any(isinstance(module, convolutions) for module in model.modules())
    return "convolutional" if found else "dense"
