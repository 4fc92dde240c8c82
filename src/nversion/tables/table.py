"""A table: what several versions answered on some images, with names."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nversion.errors import DatasetError
from nversion.measures import Answers, as_answers
from nversion.measures.answers import ABSTENTION, Integers
from nversion.reading import shortened

__all__ = ["Table", "coded", "unique_names"]


@dataclasses.dataclass(frozen=True)
class Table:
    """Labels, and the versions' outputs.

    Attributes:
        source: where it is from, for messages.
        names: of the versions.
        classes: names of the classes; labels and predictions are places in it.
        labels: int64 [count].
        outputs: floating [versions, count, classes] (probabilities, or logits), or classes, int64
            [versions, count], where -1 is an abstention.
    """

    source: str
    names: tuple[str, ...]
    classes: tuple[str, ...]
    labels: Integers
    outputs: npt.NDArray[Any]

    def of(self, rows: npt.NDArray[Any]) -> Table:
        """Return the table of some of the images."""
        return dataclasses.replace(
            self, labels=self.labels[rows], outputs=np.ascontiguousarray(self.outputs[:, rows])
        )

    @property
    def answers(self) -> Answers:
        """The answers of the versions.

        Raises:
            InputError: malformed.
        """
        return as_answers(self.outputs, self.labels)

    @property
    def probabilities(self) -> bool:
        """Whether the outputs are distributions over the classes."""
        return (
            self.outputs.ndim == 3
            and bool(((self.outputs >= 0) & (self.outputs <= 1)).all())
            and bool((np.abs(self.outputs.sum(axis=2, dtype=np.float64) - 1) < 1e-3).all())
        )


def coded(
    labels: npt.NDArray[Any], predictions: npt.NDArray[Any], source: str
) -> tuple[tuple[str, ...], Integers, Integers]:
    """Return the classes that are named, and labels and predictions as places among them.

    Whole numbers keep their order, with gaps closed, and -1 stays an abstention; texts are ordered
    as texts.

    Raises:
        DatasetError: labels are numbers and predictions texts, or the other way round, or a label
            is negative.
    """
    numbers = labels.dtype.kind in "iu"
    if numbers != (predictions.dtype.kind in "iu"):
        found, other = (labels, predictions) if numbers else (predictions, labels)
        raise DatasetError(
            f"{source}: labels and predictions must both be whole numbers or both be names; some "
            f"are {shortened(found.ravel()[0].item())}, others "
            f"{shortened(_first_name(other))}"
        )
    named = np.unique(np.concatenate([labels.ravel(), predictions.ravel()]))
    if numbers:
        if labels.min() < 0 or named[0] < ABSTENTION:
            worst = min(int(labels.min()), int(named[0]))
            raise DatasetError(
                f"{source}: classes must not be negative, not {worst}; -1 is an abstention, and "
                "only a version can abstain"
            )
        named = named[named != ABSTENTION]
    truth = np.searchsorted(named, labels).astype(np.int64)
    places = np.searchsorted(named, predictions).astype(np.int64)
    if numbers:
        places = np.where(predictions == ABSTENTION, ABSTENTION, places)
    return tuple(str(one) for one in named.tolist()), truth, places


def unique_names(names: Sequence[str], source: str) -> tuple[str, ...]:
    """Return names of versions, each once.

    Raises:
        DatasetError: two are the same, or one is empty.
    """
    for name in names:
        if not name or list(names).count(name) > 1:
            what = f"{shortened(name)} is there twice" if name else "one is empty"
            raise DatasetError(f"{source}: versions must have different names; {what}")
    return tuple(names)


def _first_name(values: npt.NDArray[Any]) -> object:
    """Return the first value that is no number, to be shown."""
    return next(
        (one for one in values.ravel().tolist() if not str(one).lstrip("-").isdigit()),
        values.ravel().tolist()[0],
    )
