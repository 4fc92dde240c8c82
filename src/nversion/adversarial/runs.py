"""One attack on one version: which images were tried, and what came of each.

A run is the unit of work of a study's attack stage: it is computed alone, saved as one file, and
skipped when the study is resumed. The adversarial set and the table of attacks are made from runs.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nversion.adversarial.similarity import structural_similarity
from nversion.adversarial.tensor_record import check_columns, made_of, read_record, write_record
from nversion.attacks import Attack, AttackResult
from nversion.errors import InputError
from nversion.models import check_images
from nversion.randomness import generator
from nversion.reading import check_name

__all__ = ["AttackRun", "StoredRuns", "draw_indices"]

KIND, WHAT = "attack-run", "an attack run"

COLUMNS: Mapping[str, torch.dtype] = {
    "test_indices": torch.int64,
    "labels": torch.int64,
    "images": torch.float32,
    "success": torch.bool,
    "already_misclassified": torch.bool,
    "predictions": torch.int64,
    "l0": torch.float32,
    "l1": torch.float32,
    "l2": torch.float32,
    "linf": torch.float32,
    "ssim": torch.float32,
}


def draw_indices(correct: Tensor, count: int, seed: int, version_name: str) -> Tensor:
    """Draw correctly classified test images at random for one version.

    All test images are put into an order that depends on the seed and the version's name only; the
    first `count` that the version classifies correctly are drawn. So a version that differs in one
    prediction draws almost the same images.

    Args:
        correct: bool [test count], whether the version classifies each test image correctly.
        count: how many to draw, at least 1.
        seed: the study's seed.
        version_name: the version's name.

    Returns:
        int64 [count], ascending positions in the test split; fewer if fewer are correct.

    Raises:
        InputError: `correct` is not bool [test count], nothing is correct, or `count` is below 1.
    """
    if correct.dtype != torch.bool or correct.ndim != 1:
        raise InputError(
            f"correct must be bool [test count], not {correct.dtype} {list(correct.shape)}"
        )
    if count < 1:
        raise InputError(f"count must be at least 1, not {count}")
    order = torch.randperm(len(correct), generator=generator(seed, "images", version_name))
    drawn = order[correct.cpu()[order]][:count]
    if len(drawn) == 0:
        raise InputError(f"{version_name} classifies no test image correctly; nothing to attack")
    return drawn.sort().values


@dataclasses.dataclass(frozen=True)
class _Header:
    """What the header of a run's file says; see :class:`AttackRun`."""

    kind: str
    version: str
    attack: str
    norm: str
    options: dict[str, Any]
    seed: int
    seconds: float
    digest: str
    storable: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class AttackRun:
    """What one attack did to one version, image by image.

    Attributes:
        version: the attacked version's name.
        attack: the attack's name.
        norm: the distance that the attack makes small: "l0", "l1", "l2" or "linf".
        options: the attack's options, JSON values by name.
        seed: the seed that the attack was called with.
        seconds: wall time of the attack.
        test_indices: int64 [tried], positions in the test split.
        labels: int64 [tried], the true classes.
        images: float32 [tried, channels, height, width]; the original where the attack failed.
        success: bool [tried].
        already_misclassified: bool [tried], wrong before any attack.
        predictions: int64 [tried], of the version on `images`.
        l0: changed pixels, float32 [tried]; infinite where the attack failed, as the next three.
        l1: sum of absolute changes.
        l2: Euclidean distance.
        linf: largest absolute change.
        ssim: structural similarity to the original, float32 [tried]; NaN where it failed.
        storable: whether every success is one after storing the image in 8 bits a value too.

    Raises:
        InputError: a tensor has the wrong dtype or length.
    """

    version: str
    attack: str
    norm: str
    options: Mapping[str, Any]
    seed: int
    seconds: float
    test_indices: Tensor
    labels: Tensor
    images: Tensor
    success: Tensor
    already_misclassified: Tensor
    predictions: Tensor
    l0: Tensor
    l1: Tensor
    l2: Tensor
    linf: Tensor
    ssim: Tensor
    storable: bool = False

    def __post_init__(self) -> None:
        check_name(self.version, "version", InputError)
        check_name(self.attack, "attack", InputError)
        check_images(self.images)
        check_columns(self, COLUMNS, len(self))

    def __len__(self) -> int:
        return self.images.shape[0]

    @classmethod
    def of(
        cls,
        version: str,
        attack: Attack,
        result: AttackResult,
        *,
        originals: Tensor,
        labels: Tensor,
        test_indices: Tensor,
        seed: int,
        seconds: float,
        storable: bool = False,
    ) -> AttackRun:
        """Return the run that holds `result`, with the similarity to the originals measured.

        Args:
            version: the attacked version's name.
            attack: the attack as it was called.
            result: what it returned.
            originals: float32 [tried, channels, height, width], the images it was given.
            labels: int64 [tried], the labels it was given.
            test_indices: int64 [tried], where the images stand in the test split.
            seed: the seed it was called with.
            seconds: how long it took.
            storable: whether it was called with ``storable=True``.

        Raises:
            InputError: the parts differ in length, or are malformed.
        """
        similarity = structural_similarity(result.images.cpu(), originals.cpu())
        success = result.success.cpu()
        return cls(
            version=version,
            attack=attack.name,
            norm=attack.norm,
            options=json.loads(json.dumps(attack.options())),
            seed=seed,
            seconds=float(seconds),
            test_indices=test_indices.cpu(),
            labels=labels.cpu(),
            images=result.images.cpu(),
            success=success,
            already_misclassified=result.already_misclassified.cpu(),
            predictions=result.predictions.cpu(),
            l0=result.l0.cpu(),
            l1=result.l1.cpu(),
            l2=result.l2.cpu(),
            linf=result.linf.cpu(),
            ssim=torch.where(success, similarity, torch.nan),
            storable=storable,
        )

    def save(self, path: Path) -> None:
        """Write the run as one safetensors file, atomically."""
        write_record(path, self._facts(), {name: getattr(self, name) for name in COLUMNS})

    @classmethod
    def load(cls, path: Path) -> AttackRun:
        """Read a run.

        Raises:
            ArtefactError: the file is missing, damaged, or not a run.
        """
        return made_of(read_record(path, KIND, _Header, WHAT), cls, path, WHAT)

    def _facts(self) -> dict[str, Any]:
        return {
            "kind": KIND,
            "version": self.version,
            "attack": self.attack,
            "norm": self.norm,
            "options": dict(self.options),
            "seed": self.seed,
            "seconds": self.seconds,
            "storable": self.storable,
        }


class StoredRuns:
    """Attack runs that are read from their files one at a time, each time they are gone through.

    Args:
        paths: the files, in order.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[AttackRun]:
        return map(AttackRun.load, self._paths)
