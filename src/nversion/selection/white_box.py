"""How far an attacker must go who knows the program: what the linearised vote predicts.

A vote's margin m of the label over a class is the mean of the members' margins, and its gradient g
the mean of theirs. Were the vote linear, the nearest image of that class would be m / |g| away, and
the nearest of any class the least of these (the first step of DeepFool, Moosavi-Dezfooli et al.
2016). The mean of gradients is short where they point different ways: so the measure wants members
with wide margins whose gradients do not add up, and needs only their products. It is a prediction
to choose by, not a certificate: judge a choice by attacking it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from nversion.errors import InputError
from nversion.measures.answers import ArrayLike, Doubles, as_array
from nversion.selection.criteria import Criterion

__all__ = ["WhiteBox", "gram"]

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def gram(gradients: ArrayLike) -> Floats:
    """Return the products of the members' gradients, [count, classes, versions, versions].

    Args:
        gradients: of each margin by the image, floating [versions, count, classes, ...].

    Raises:
        InputError: another shape or type, or values that are not finite.
    """
    given = as_array(gradients, "gradients")
    if given.ndim < 4 or 0 in given.shape or given.dtype.kind != "f":
        raise InputError(
            "gradients must be floating [versions, count, classes, ...], shaped as the images are, "
            f"not {given.dtype} {list(given.shape)}"
        )
    versions, count, classes = given.shape[:3]
    rows = given.reshape(versions, count, classes, -1)
    products = np.empty((count, classes, versions, versions), dtype=given.dtype)
    for image in range(count):
        block = np.ascontiguousarray(rows[:, image].transpose(1, 0, 2))
        np.matmul(block, block.transpose(0, 2, 1), out=products[image])
    if not np.isfinite(products).all():
        raise InputError("gradients hold NaN or infinite values, or too large ones to square")
    return products


@final
class WhiteBox(Criterion):
    """The mean over images of the distance to the nearest other class of the linearised vote.

    An image that the vote gets wrong is at distance 0. One whose gradients are all zero is left out
    for that class: nothing is known of it.

    Args:
        margins: of the label over each class, floating [versions, count, classes]; what stands for
            the label itself does not matter.
        products: of the gradients of these margins, as :func:`gram` returns them.
        labels: integers [count].

    Raises:
        InputError: malformed arguments.
    """

    name: ClassVar[str] = "white-box"

    def __init__(self, margins: ArrayLike, products: ArrayLike, labels: ArrayLike) -> None:
        given, squares = as_array(margins, "margins"), as_array(products, "products")
        truth = as_array(labels, "labels")
        if given.ndim != 3 or 0 in given.shape or given.dtype.kind != "f" or given.shape[2] < 2:
            raise InputError(
                "margins must be floating [versions, count, classes], of two classes at least, not "
                f"{given.dtype} {list(given.shape)}"
            )
        versions, count, classes = given.shape
        if squares.shape != (count, classes, versions, versions):
            raise InputError(
                f"products must be {[count, classes, versions, versions]}, not "
                f"{list(squares.shape)}; make them with gram(gradients)"
            )
        if (
            truth.shape != (count,)
            or truth.dtype.kind not in "iu"
            or truth.min() < 0
            or (truth.max() >= classes)
        ):
            raise InputError(f"labels must be integers [{count}] from 0 to {classes - 1}")
        rival = np.arange(classes)[None] != truth[:, None]
        # One row for each image and each class that is not its label.
        self.margins: Doubles = given.transpose(1, 2, 0)[rival].astype(np.float64)
        self.products: npt.NDArray[Any] = squares[rival]
        self.count, self.rivals = count, classes - 1
        if not (np.isfinite(self.margins).all() and np.isfinite(self.products).all()):
            raise InputError("margins or products hold NaN or infinite values")
        self._own: Doubles = np.diagonal(self.products, axis1=1, axis2=2).astype(np.float64)

    @property
    def versions(self) -> int:
        """How many versions there are to choose from."""
        return int(self.margins.shape[1])

    def extensions(self, members: Sequence[int]) -> Doubles:
        """Return the scores with one version more, as :class:`Criterion` says."""
        chosen = list(members)
        margins, squares = self.margins.copy(), self._own.copy()
        if chosen:
            cross = self.products[:, chosen].sum(axis=1, dtype=np.float64)
            margins += self.margins[:, chosen].sum(axis=1)[:, None]
            squares += 2.0 * cross + cross[:, chosen].sum(axis=1)[:, None]
        return self._mean(margins, squares)

    def distances(self, weights: ArrayLike) -> Doubles:
        """Return each image's distance for a weighted vote, [count].

        Args:
            weights: not negative, floating [versions].

        Raises:
            InputError: malformed weights.
        """
        given = as_array(weights, "weights").astype(np.float64)
        if given.shape != (self.versions,) or not (given >= 0.0).all() or not given.sum() > 0.0:
            raise InputError(
                f"weights must be one for each of the {self.versions} versions, not negative, and "
                "not all zero"
            )
        used = np.nonzero(given)[0]
        products = self.products[:, used[:, None], used]
        squares = np.einsum("rij,i,j->r", products, given[used], given[used], optimize=True)
        return self._distances((self.margins @ given)[:, None], squares[:, None])[:, 0]

    def weighted_score(self, weights: ArrayLike) -> float:
        """Return the mean of :meth:`distances`."""
        return float(self.distances(weights).mean())

    def _distances(self, margins: Doubles, squares: Doubles) -> Doubles:
        """Return the distance to the nearest rival, [count, programs]."""
        # Squares are sums of products that were rounded: tiny or negative ones are none.
        tiny = 1e-12 * self._own.max()
        norms = np.sqrt(np.maximum(squares, tiny) if tiny > 0.0 else np.ones_like(squares))
        shape = (self.count, self.rivals, margins.shape[1])
        flat = (squares <= tiny).reshape(shape)
        each = (np.maximum(margins, 0.0) / norms).reshape(shape)
        wrong = (margins <= 0.0).reshape(shape).any(axis=1)
        nearest = np.where(flat, np.inf, each).min(axis=1)
        # Without any gradient there is nothing to go by.
        found: Doubles = np.where(wrong | ~np.isfinite(nearest), 0.0, nearest)
        return found

    def _mean(self, margins: Doubles, squares: Doubles) -> Doubles:
        found: Doubles = self._distances(margins, squares).mean(axis=0)
        return found
