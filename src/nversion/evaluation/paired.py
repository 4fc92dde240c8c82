"""Whether two classifiers differ on the same images.

Two accuracies on one set of images are not independent: what counts is the images on which only one
of the two is right (McNemar, "Note on the sampling error of the difference between correlated
proportions", Psychometrika 12, 1947). The test here is the exact one, a binomial test with 1/2.
"""

from __future__ import annotations

from typing import Any

from scipy.stats import binomtest
from torch import Tensor

from nversion.errors import InputError

__all__ = ["paired_comparison"]


def paired_comparison(first_right: Tensor, second_right: Tensor) -> dict[str, Any]:
    """Compare two classifiers by the images on which only one of them is right.

    Images that were made from one original are not independent either, so the p-value is a guide,
    and too small rather than too large.

    Args:
        first_right: bool [count], whether the first is right on each image.
        second_right: bool [count], the same for the second.

    Returns:
        JSON values: ``only_first``, ``only_second`` (counts), ``p_value`` (two-sided, exact; 1
        where they never differ).

    Raises:
        InputError: the two do not have the same length.
    """
    if first_right.shape != second_right.shape or first_right.ndim != 1:
        raise InputError(
            f"both must be bool [count] of one length, not {list(first_right.shape)} "
            f"and {list(second_right.shape)}"
        )
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    differing = only_first + only_second
    p_value = float(binomtest(only_first, differing).pvalue) if differing else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}
