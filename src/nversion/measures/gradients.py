"""How far the gradients of versions point the same way: what an attack on one does to another.

The mean over images of the cosine between two versions' gradients (of the loss, or of a margin, by
the image), as Kariyappa and Qureshi ("Improving Adversarial Robustness of Ensembles with Diversity
Training", 2019) measure it. The gradients are made elsewhere; no network is needed here.
"""

from __future__ import annotations

import numpy as np

from nversion.errors import InputError
from nversion.measures.answers import ArrayLike, Doubles, as_array

__all__ = ["gradient_cosines"]


def gradient_cosines(gradients: ArrayLike) -> Doubles:
    """Return the mean cosine of the gradients of each pair of versions.

    An image on which one of the two has no gradient (a zero) says nothing of the pair and is left
    out; a pair without any other image is NaN.

    Args:
        gradients: floating [versions, count, ...], finite.

    Returns:
        float64 [versions, versions] in [-1, 1].

    Raises:
        InputError: another shape or type, or values that are not finite.
    """
    given = as_array(gradients, "gradients")
    if given.ndim < 3 or 0 in given.shape or given.dtype.kind != "f":
        raise InputError(
            "gradients must be floating [versions, count, ...], shaped as the images are, not "
            f"{given.dtype} {list(given.shape)}"
        )
    if not np.isfinite(given).all():
        raise InputError("gradients hold NaN or infinite values")
    versions, count = given.shape[:2]
    rows = given.reshape(versions, count, -1).astype(np.float64)
    # Scaled first, so that squares of tiny gradients do not vanish.
    largest = np.abs(rows).max(axis=2, keepdims=True)
    rows = rows / np.where(largest == 0.0, 1.0, largest)
    length = np.sqrt((rows**2).sum(axis=2, keepdims=True))
    known = (length[:, :, 0] > 0.0).astype(np.float64)
    unit = (rows / np.where(length == 0.0, 1.0, length)).reshape(versions, -1)
    images = known @ known.T
    sums = unit @ unit.T
    cosines = np.where(images == 0.0, np.nan, sums / np.where(images == 0.0, 1.0, images))
    found: Doubles = np.clip(cosines, -1.0, 1.0)
    return found
