"""What versions answered on some images, from tensors or arrays, checked once.

Outputs are scores (probabilities or logits) of every class, or the classes themselves; -1 is an
abstention. A version's class is that of its highest score, and of several equally high ones the
lowest, as everywhere in this package.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

from nversion.errors import InputError

__all__ = [
    "ABSTENTION",
    "Answers",
    "ArrayLike",
    "Bools",
    "Doubles",
    "Integers",
    "as_answers",
    "as_array",
    "as_wrong",
]

ArrayLike: TypeAlias = Any
"""A tensor, an array, or nested sequences of numbers."""

Bools: TypeAlias = npt.NDArray[np.bool_]
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

ABSTENTION = -1


@dataclasses.dataclass(frozen=True)
class Answers:
    """What versions answered.

    Attributes:
        predictions: int64 [versions, count]; -1 is an abstention.
        labels: int64 [count].
        scores: floating [versions, count, classes], or None where only classes are known.
        classes: how many there are at least: one more than the largest that is named.
    """

    predictions: Integers
    labels: Integers
    scores: npt.NDArray[np.floating[Any]] | None
    classes: int

    @property
    def wrong(self) -> Bools:
        """Where a version did not name the label, bool [versions, count]; abstentions count."""
        found: Bools = self.predictions != self.labels
        return found

    @property
    def abstained(self) -> Bools:
        """Where a version named no class, bool [versions, count]."""
        found: Bools = self.predictions == ABSTENTION
        return found

    def of(self, rows: slice | npt.NDArray[Any]) -> Answers:
        """Return the answers on some of the images."""
        scores = None if self.scores is None else self.scores[:, rows]
        return Answers(self.predictions[:, rows], self.labels[rows], scores, self.classes)


def as_array(value: ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return an array of numbers or booleans.

    Raises:
        InputError: it is none.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (
            value.float() if value.is_floating_point() and value.itemsize < 4 else value
        ).numpy()
    elif isinstance(value, list | tuple) and any(isinstance(part, Tensor) for part in value):
        value = [as_array(part, name) for part in value]
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(f"{name}: its parts differ in their shape; give one array") from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"{name} must hold numbers, not {array.dtype}")
    return array


def as_answers(outputs: ArrayLike, labels: ArrayLike) -> Answers:
    """Return outputs and labels as answers.

    Args:
        outputs: floating [versions, count, classes] (probabilities, log-probabilities or logits),
            or classes, integers [versions, count], where -1 is an abstention.
        labels: integers [count], not negative.

    Raises:
        InputError: another shape or type, NaN, no images, or negative classes.
    """
    given, truth = as_array(outputs, "outputs"), as_array(labels, "labels")
    if given.ndim not in (2, 3) or 0 in given.shape:
        raise InputError(
            "outputs must be [versions, count, classes], or classes [versions, count], with at "
            f"least one of each, not {list(given.shape)}"
        )
    if truth.ndim != 1 or len(truth) != given.shape[1]:
        raise InputError(
            f"labels must be [count], one for each of the {given.shape[1]} images of outputs "
            f"{list(given.shape)}, not {list(truth.shape)}"
        )
    truth = _whole(truth, "labels", least=0)
    if given.ndim == 2:
        predictions = _whole(given, "outputs", least=ABSTENTION)
        largest = max(int(truth.max()), int(predictions.max()))
        return Answers(predictions, truth, None, largest + 1)
    if given.dtype.kind != "f":
        raise InputError(
            f"outputs [versions, count, classes] must be floating, not {given.dtype}; classes are "
            "[versions, count]"
        )
    if np.isnan(given).any():
        version, image = (int(place[0]) for place in np.nonzero(np.isnan(given))[:2])
        raise InputError(f"outputs hold NaN: version {version}, image {image} is the first")
    if int(truth.max()) >= given.shape[2]:
        raise InputError(f"labels reach {truth.max()}, but outputs have {given.shape[2]} classes")
    return Answers(given.argmax(axis=2).astype(np.int64), truth, given, given.shape[2])


def as_wrong(wrong: ArrayLike) -> Bools:
    """Return where versions are wrong, bool [versions, count], checked.

    Raises:
        InputError: it is of another shape, or holds anything but true and false.
    """
    given = as_array(wrong, "wrong")
    if given.ndim != 2 or 0 in given.shape:
        raise InputError(
            f"wrong must be bool [versions, count] with at least one of each, not {given.dtype} "
            f"{list(given.shape)}"
        )
    if given.dtype.kind != "b" and not np.isin(given, (0, 1)).all():
        raise InputError("wrong must be bool [versions, count]; say predictions != labels")
    return given.astype(np.bool_)


def _whole(values: npt.NDArray[Any], name: str, least: int) -> Integers:
    if values.dtype.kind not in "iu":
        raise InputError(
            f"{name} must be whole numbers, not {values.dtype}; scores of classes are "
            "[versions, count, classes]"
        )
    whole: Integers = values.astype(np.int64)
    if int(whole.min()) < least:
        what = "; -1 is an abstention" if least == ABSTENTION else ""
        raise InputError(f"{name} must be at least {least}, not {int(whole.min())}{what}")
    return whole
