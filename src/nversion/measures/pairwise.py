"""Measures of two versions, of all pairs at once.

Of the images, `a` both get right, `b` the first alone, `c` the second alone, and `d` neither. The
formulas are those of Kuncheva and Whitaker, "Measures of Diversity in Classifier Ensembles and
Their Relationship with the Ensemble Accuracy", Machine Learning 51 (2003), section 2. A measure
that divides by zero is undefined, NaN: of a version that is always right, nothing can be said of
how its failures go with others'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from nversion.measures.answers import Doubles

__all__ = ["MATRICES", "Table", "table_of"]

Table: TypeAlias = tuple[Doubles, Doubles, Doubles, Doubles]
"""The counts a, b, c and d, of any one shape."""


def table_of(images: float | Doubles, first: Doubles, second: Doubles, together: Doubles) -> Table:
    """Return a, b, c and d.

    Args:
        images: how many there are, or were drawn.
        first: on how many the first versions fail.
        second: on how many the second ones do.
        together: on how many both do.
    """
    return images - first - second + together, second - together, first - together, together


def _q(a: Doubles, b: Doubles, c: Doubles, d: Doubles) -> Doubles:
    return _ratio(a * d - b * c, a * d + b * c)


def _correlation(a: Doubles, b: Doubles, c: Doubles, d: Doubles) -> Doubles:
    # Of counts up to 10^6 the product of four exceeds neither float64 nor its digits: two roots.
    spread = np.sqrt((a + b) * (c + d)) * np.sqrt((a + c) * (b + d))
    return _ratio(a * d - b * c, spread)


def _disagreement(a: Doubles, b: Doubles, c: Doubles, d: Doubles) -> Doubles:
    return (b + c) / (a + b + c + d)


def _double_fault(a: Doubles, b: Doubles, c: Doubles, d: Doubles) -> Doubles:
    return d / (a + b + c + d)


def _kappa(a: Doubles, b: Doubles, c: Doubles, d: Doubles) -> Doubles:
    return _ratio(2.0 * (a * d - b * c), (a + b) * (b + d) + (a + c) * (c + d))


MATRICES: Mapping[str, Callable[[Doubles, Doubles, Doubles, Doubles], Doubles]] = {
    "q": _q,
    "correlation": _correlation,
    "disagreement": _disagreement,
    "double_fault": _double_fault,
    "kappa": _kappa,
}
"""By name: Yule's Q, the correlation of failures, the share of images on which exactly one is
right, that on which both fail, and Cohen's kappa, of a, b, c and d."""


def _ratio(above: Doubles, below: Doubles) -> Doubles:
    """Return above / below, NaN where that is 0 / 0 (below is never 0 alone)."""
    undefined = below == 0
    found: Doubles = np.where(undefined, np.nan, above / np.where(undefined, 1.0, below))
    return found
