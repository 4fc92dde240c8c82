"""The adversarial set: every image that an attack made, with where it came from.

On disk it is a folder of two files. ``images.safetensors`` holds everything, images as float32 and
never rounded, with a SHA-256 over the content in its header. ``provenance.csv`` says the same about
each image for a person to read; it is written first, and its SHA-256 is in the header of the other,
so that a folder in which only one of the two was replaced is recognised.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nversion.adversarial.tensor_record import check_columns, made_of, read_record
from nversion.errors import ArtefactError, InputError
from nversion.files import (
    digest_of,
    replacing,
    sha256_of_file,
    write_tensors,
    write_text,
)
from nversion.models import check_images
from nversion.reading import check_name

__all__ = ["COLUMNS", "AdversarialSet"]

KIND, WHAT = "adversarial-set", "an adversarial set"
IMAGES_FILE = "images.safetensors"
PROVENANCE_FILE = "provenance.csv"

COLUMNS: Mapping[str, torch.dtype] = {
    "version_ids": torch.int64,
    "attack_ids": torch.int64,
    "test_indices": torch.int64,
    "labels": torch.int64,
    "predictions": torch.int64,
    "l0": torch.float32,
    "l1": torch.float32,
    "l2": torch.float32,
    "linf": torch.float32,
    "ssim": torch.float32,
}


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the header of a set's file says; see :class:`AdversarialSet`.

    Attributes:
        digest: SHA-256 of the set.
        provenance: SHA-256 of the table beside it.
    """

    kind: str
    versions: tuple[str, ...]
    attacks: tuple[str, ...]
    options: dict[str, dict[str, Any]]
    storable: bool
    digest: str
    provenance: str


@dataclasses.dataclass(frozen=True, eq=False)
class AdversarialSet:
    """Adversarial images and their provenance; row i of every tensor is about image i.

    Attributes:
        images: float32 [count, channels, height, width] in [0, 1].
        versions: the names of the versions that were attacked, also of those without an image.
        attacks: the names of the attacks that are in the set.
        options: each attack's options, JSON values by name.
        version_ids: int64 [count], positions in `versions`.
        attack_ids: int64 [count], positions in `attacks`.
        test_indices: int64 [count], positions of the originals in the test split.
        labels: int64 [count], the true classes.
        predictions: int64 [count], of the attacked version on the image; never the label.
        l0: changed pixels, float32 [count].
        l1: sum of absolute changes, float32 [count].
        l2: Euclidean distance, float32 [count].
        linf: largest absolute change, float32 [count].
        ssim: structural similarity to the original, float32 [count].
        storable: whether each image is still adversarial, to the version it was made against, after
            storing it in 8 bits a value.

    Raises:
        InputError: the parts do not fit each other.
    """

    images: Tensor
    versions: tuple[str, ...]
    attacks: tuple[str, ...]
    options: Mapping[str, Mapping[str, Any]]
    version_ids: Tensor
    attack_ids: Tensor
    test_indices: Tensor
    labels: Tensor
    predictions: Tensor
    l0: Tensor
    l1: Tensor
    l2: Tensor
    linf: Tensor
    ssim: Tensor
    storable: bool = False

    def __post_init__(self) -> None:
        check_images(self.images)
        if self.images.dtype != torch.float32:
            raise InputError(f"images must be float32, not {self.images.dtype}")
        check_columns(self, COLUMNS, len(self))
        for what in ("version", "attack"):
            names: tuple[str, ...] = getattr(self, f"{what}s")
            ids: Tensor = getattr(self, f"{what}_ids")
            for name in names:
                check_name(name, f"{what}s", InputError)
            if len(set(names)) != len(names):
                raise InputError(f"{what}s must have different names: {', '.join(names)}")
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(names):
                raise InputError(f"{what}_ids must lie in [0, {len(names)})")
        if set(self.options) != set(self.attacks):
            raise InputError("options must be given for each attack in the set, and for no other")
        if bool((self.predictions == self.labels).any()):
            raise InputError("an image whose prediction is its label is not adversarial")

    def __len__(self) -> int:
        return self.images.shape[0]

    def __repr__(self) -> str:
        return (
            f"AdversarialSet({len(self):,} images, {len(self.versions)} versions, "
            f"{len(self.attacks)} attacks)"
        )

    @property
    def source_images(self) -> int:
        """How many different test images its images were made from."""
        return len(set(self.test_indices.tolist()))

    @property
    def per_attack(self) -> dict[str, int]:
        """How many images each attack made."""
        return _counts(self.attacks, self.attack_ids)

    @property
    def per_version(self) -> dict[str, int]:
        """How many images were made against each version."""
        return _counts(self.versions, self.version_ids)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over images, provenance and names."""
        return digest_of(self._facts(), self._tensors())

    def select(self, rows: Tensor) -> AdversarialSet:
        """Return the set of some images, bool [count] or int64 positions; names stay as they are.

        Raises:
            InputError: `rows` is neither bool [count] nor int64.
        """
        if rows.dtype not in (torch.bool, torch.int64) or rows.ndim != 1:
            raise InputError(f"rows must be bool [count] or int64, not {rows.dtype}")
        if rows.dtype == torch.bool and len(rows) != len(self):
            raise InputError(f"rows must have one value for each of {len(self)} images")
        chosen: dict[str, Any] = {name: tensor[rows] for name, tensor in self._tensors().items()}
        return dataclasses.replace(self, **chosen)

    def save(self, folder: Path) -> None:
        """Write the set into `folder`, each file atomically, the one that is read last."""
        table = self._table()
        write_text(folder / PROVENANCE_FILE, table)
        metadata = {**self._facts(), "digest": self.digest, "provenance": _sha256(table)}
        write_tensors(folder / IMAGES_FILE, self._tensors(), metadata)

    @classmethod
    def load(cls, folder: Path) -> AdversarialSet:
        """Read a set.

        Raises:
            ArtefactError: a file is missing or damaged, or the two do not belong together.
        """
        path = folder / IMAGES_FILE
        fields = read_record(path, KIND, _Header, WHAT, beside=["provenance"])
        provenance = fields.pop("provenance")
        loaded = made_of(fields, cls, path, WHAT)
        table = folder / PROVENANCE_FILE
        if not table.is_file():
            raise ArtefactError(f"{table}: no such file; build the adversarial set again")
        if sha256_of_file(table) != provenance:
            raise ArtefactError(
                f"{table}: was changed, or does not belong to {path}; build the set again"
            )
        return loaded

    def export_npz(self, path: Path) -> None:
        """Write the set as one compressed ``.npz`` file without pickled objects, atomically.

        It holds ``images`` and ``labels`` (the names under which a dataset's arrays are looked
        for), the provenance as one array per column, ``options`` as JSON text, and ``storable``.
        """
        arrays: dict[str, np.ndarray[Any, Any]] = {
            name: tensor.numpy() for name, tensor in self._tensors().items()
        }
        names = (("versions", self.versions), ("attacks", self.attacks))
        for what, values in names:
            ids = arrays.pop(f"{what[:-1]}_ids")
            arrays[what] = np.array(values or [""], dtype=np.str_)[ids]
        arrays["options"] = np.array(json.dumps(_plain(self.options), sort_keys=True))
        arrays["storable"] = np.array(self.storable)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    def _tensors(self) -> dict[str, Tensor]:
        return {"images": self.images, **{name: getattr(self, name) for name in COLUMNS}}

    def _facts(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "versions": list(self.versions),
            "attacks": list(self.attacks),
            "options": _plain(self.options),
            "storable": self.storable,
        }

    def _table(self) -> str:
        """Return the provenance as CSV, numbers in the shortest form that gives them back."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        numbers = [name for name in COLUMNS if not name.endswith("_ids")]
        writer.writerow(["image", "version", "attack", *numbers, "options"])
        columns = [[str(value) for value in getattr(self, name).numpy()] for name in numbers]
        versions = [self.versions[i] for i in self.version_ids.tolist()]
        attacks = [self.attacks[i] for i in self.attack_ids.tolist()]
        options = {
            name: json.dumps(values, sort_keys=True)
            for name, values in _plain(self.options).items()
        }
        for row, values in enumerate(zip(versions, attacks, *columns, strict=True)):
            writer.writerow([row, *values, options[attacks[row]]])
        return buffer.getvalue()


def _plain(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(values) for name, values in options.items()}


def _counts(names: tuple[str, ...], ids: Tensor) -> dict[str, int]:
    counts = torch.bincount(ids, minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
