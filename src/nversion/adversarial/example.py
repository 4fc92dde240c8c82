"""All attacks on one image of one version, to look at: the gallery of the 2019 study's figure 3.

Which image is shown is decided by a rule, not by taste: the one on which most attacks succeeded;
among several, the first version's in the order of the runs, and of that the one that comes first in
the test split.
"""

from __future__ import annotations

import base64
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.adversarial.changes import strongest_change
from nversion.adversarial.runs import AttackRun
from nversion.adversarial.summary import AttackSummary
from nversion.adversarial.tensor_record import check_columns, made_of, read_record, write_record
from nversion.errors import InputError
from nversion.models import check_images
from nversion.reading import check_name

__all__ = ["AttackExample", "choose_example"]

KIND, WHAT = "attack-example", "an example of attacks"

DISTANCES = ("l0", "l1", "l2", "linf", "ssim")

COLUMNS: Mapping[str, torch.dtype] = {
    "images": torch.float32,
    "success": torch.bool,
    "predictions": torch.int64,
    **dict.fromkeys(DISTANCES, torch.float32),
}

GREYS = 127
"""Steps of an 8-bit difference on either side of 128, which is no change."""


def choose_example(runs: Iterable[AttackRun]) -> tuple[str, int] | None:
    """Return the version and the test index on which most attacks succeeded; None if none did.

    Args:
        runs: every attack on every version; each is looked at once.
    """
    successes: dict[tuple[str, int], int] = {}
    order: dict[str, int] = {}
    for run in runs:
        order.setdefault(run.version, len(order))
        for index in run.test_indices[run.success].tolist():
            successes[run.version, index] = successes.get((run.version, index), 0) + 1
    return min(successes, key=lambda key: (-successes[key], order[key[0]], key[1]), default=None)


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the header of an example's file says; see :class:`AttackExample`."""

    kind: str
    version: str
    test_index: int
    label: int
    attacks: tuple[str, ...]
    digest: str


@dataclasses.dataclass(frozen=True, eq=False)
class AttackExample:
    """One image, and what each attack made of it; row i of every tensor is about attack i.

    Attributes:
        version: the attacked version's name.
        test_index: where the original stands in the test split.
        label: its true class, which the version predicts on the original.
        attacks: the attacks' names.
        original: float32 [channels, height, width] in [0, 1].
        images: float32 [attacks, channels, height, width]; the original where an attack failed.
        success: bool [attacks].
        predictions: int64 [attacks], of the version on `images`.
        l0: changed pixels, float32 [attacks]; infinite where the attack failed, as the next three.
        l1: sum of absolute changes.
        l2: Euclidean distance.
        linf: largest absolute change.
        ssim: structural similarity to the original, float32 [attacks]; NaN where it failed.

    Raises:
        InputError: the parts do not fit each other.
    """

    version: str
    test_index: int
    label: int
    attacks: tuple[str, ...]
    original: Tensor
    images: Tensor
    success: Tensor
    predictions: Tensor
    l0: Tensor
    l1: Tensor
    l2: Tensor
    linf: Tensor
    ssim: Tensor

    def __post_init__(self) -> None:
        for what in (self.version, *self.attacks):
            check_name(what, "version and attacks", InputError)
        check_images(self.images)
        check_images(self.original[None], "original")
        if self.original.shape != self.images.shape[1:]:
            raise InputError(
                f"the original must be {list(self.images.shape[1:])} like the others, not "
                f"{list(self.original.shape)}"
            )
        check_columns(self, COLUMNS, len(self.attacks), "attacks")

    @classmethod
    def of(cls, runs: Sequence[AttackRun], index: int, original: Tensor) -> AttackExample:
        """Return the example of one test image.

        Args:
            runs: each attack's run on one version.
            index: of the test image.
            original: float32 [channels, height, width] in [0, 1].

        Raises:
            InputError: there are no runs, they are of several versions, or one of them did not try
                the image.
        """
        versions = {run.version for run in runs}
        if len(versions) != 1:
            raise InputError(f"the runs must be of one version, not of {len(versions)}")
        places = [(run.test_indices == index).nonzero().flatten().tolist() for run in runs]
        missing = [run.attack for run, place in zip(runs, places, strict=True) if len(place) != 1]
        if missing:
            raise InputError(f"{missing[0]} did not try test image {index}")
        rows = [(run, place) for run, (place,) in zip(runs, places, strict=True)]
        columns = {
            name: torch.stack([getattr(run, name)[place] for run, place in rows])
            for name in COLUMNS
        }
        first, place = rows[0]
        return cls(
            version=first.version,
            test_index=index,
            label=int(first.labels[place]),
            attacks=tuple(run.attack for run in runs),
            original=original,
            **columns,
        )

    def save(self, path: Path) -> None:
        """Write the example as one safetensors file, atomically."""
        columns = {name: getattr(self, name) for name in COLUMNS}
        write_record(path, self._facts(), {"original": self.original, **columns})

    @classmethod
    def load(cls, path: Path) -> AttackExample:
        """Read an example.

        Raises:
            ArtefactError: the file is missing, damaged, or not an example.
        """
        return made_of(read_record(path, KIND, _Header, WHAT), cls, path, WHAT)

    def to_json(self, table: Sequence[AttackSummary]) -> dict[str, Any]:
        """Return the example as in ``results.json``, images as PNG files in base64.

        Each attack that succeeded has its ``image`` in 8 bits a value, and its ``difference`` to
        the original as greys in which 128 is no change and 127 steps are ``difference_scale``.

        Args:
            table: the table of attacks, which says which of them are in the adversarial set.
        """
        membership = {row.name: row for row in table}
        attacks: list[dict[str, Any]] = []
        for place, name in enumerate(self.attacks):
            success = bool(self.success[place])
            row: dict[str, Any] = {
                "name": name,
                "success": success,
                "prediction": int(self.predictions[place]),
                **{key: float(getattr(self, key)[place]) if success else None for key in DISTANCES},
                "in_adversarial_set": membership[name].in_adversarial_set,
                "reason": membership[name].to_json()["reason"],
                "image": None,
                "difference": None,
                "difference_scale": None,
            }
            if success:
                row |= _drawn(self.original, self.images[place])
            attacks.append(row)
        return {
            "version": self.version,
            "test_index": self.test_index,
            "label": self.label,
            "original": _png(_eight_bits(self.original)),
            "attacks": attacks,
        }

    def _facts(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "version": self.version,
            "test_index": self.test_index,
            "label": self.label,
            "attacks": list(self.attacks),
        }


def _drawn(original: Tensor, image: Tensor) -> dict[str, Any]:
    change = strongest_change(original, image)
    scale = float(np.abs(change).max())
    greys = np.round(128 + change * (GREYS / scale)) if scale else np.full_like(change, 128)
    return {
        "image": _png(_eight_bits(image)),
        "difference": _png(greys.astype(np.uint8)),
        "difference_scale": scale,
    }


def _eight_bits(image: Tensor) -> npt.NDArray[np.uint8]:
    """Return [height, width] or [height, width, 3] in 0..255; other channel counts averaged."""
    pixels = image.permute(1, 2, 0) if image.shape[0] == 3 else image.mean(dim=0)
    eight: npt.NDArray[np.uint8] = (pixels * 255).round().to(torch.uint8).numpy()
    return eight


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    # Pillow takes long to import, and the processes that run attacks draw nothing.
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
