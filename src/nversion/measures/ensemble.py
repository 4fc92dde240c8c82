"""Measures of all versions together; each is a function of the histogram of failures.

From Kuncheva and Whitaker, Machine Learning 51 (2003), section 3; generalised and coincident
failure diversity from Partridge and Krzanowski, "Software diversity: practical statistics for its
measurement and exploitation", Information and Software Technology 39 (1997).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nversion.measures.answers import Doubles

__all__ = ["NUMBERS"]


def _shares(histogram: Doubles) -> tuple[int, Doubles, Doubles]:
    """Return L, the numbers 0 to L of failing versions, and the share of images of each."""
    versions = histogram.shape[-1] - 1
    shares = histogram / histogram.sum(axis=-1, keepdims=True)
    return versions, np.arange(versions + 1, dtype=np.float64), shares


def _entropy(histogram: Doubles) -> Doubles:
    versions, failing, shares = _shares(histogram)
    most = versions - (versions + 1) // 2
    found: Doubles = shares @ np.minimum(failing, versions - failing) / most
    return found


def _kohavi_wolpert(histogram: Doubles) -> Doubles:
    versions, failing, shares = _shares(histogram)
    found: Doubles = shares @ (failing * (versions - failing)) / versions**2
    return found


def _interrater_kappa(histogram: Doubles) -> Doubles:
    versions, failing, shares = _shares(histogram)
    rate = shares @ failing / versions
    expected = (versions - 1) * versions * rate * (1.0 - rate)
    found = shares @ (failing * (versions - failing))
    # Where all fail or none does, rounding must not make a number of 0 / 0.
    flat = (shares[..., 0] == 1.0) | (shares[..., -1] == 1.0)
    kappa: Doubles = np.where(flat, np.nan, 1.0 - found / np.where(flat, 1.0, expected))
    return kappa


def _difficulty(histogram: Doubles) -> Doubles:
    versions, failing, shares = _shares(histogram)
    share = failing / versions
    mean = shares @ share
    found: Doubles = (shares * (share - mean[..., None]) ** 2).sum(axis=-1)
    return found


def _generalised(histogram: Doubles) -> Doubles:
    versions, failing, shares = _shares(histogram)
    one = shares @ failing / versions
    two = shares @ (failing * (failing - 1.0)) / (versions * (versions - 1))
    found: Doubles = np.where(one == 0.0, np.nan, 1.0 - two / np.where(one == 0.0, 1.0, one))
    return found


def _coincident_failure(histogram: Doubles) -> Doubles:
    versions, failing, shares = _shares(histogram)
    failed = shares[..., 1:].sum(axis=-1)
    found = shares[..., 1:] @ ((versions - failing[1:]) / (versions - 1))
    # By its definition 0, not undefined, where no version ever fails.
    diversity: Doubles = found / np.where(failed == 0.0, 1.0, failed)
    return diversity


NUMBERS: Mapping[str, Callable[[Doubles], Doubles]] = {
    "entropy": _entropy,
    "kohavi_wolpert": _kohavi_wolpert,
    "interrater_kappa": _interrater_kappa,
    "difficulty": _difficulty,
    "generalised": _generalised,
    "coincident_failure": _coincident_failure,
}
"""By name, each a function of histograms [..., versions + 1] of two versions or more."""
