"""The best single version beside the program, and what having picked it does to the test.

The best version has to be picked on some images. All training images are trained on, and accuracy
on those says who remembers best (three of the ten networks of the digits study have 100 %). Picking
on a part of the test images and judging on the rest, in turns (cross-fitting), is without bias on
average, but where versions are close, the one that is picked is the one that does badly on the
rest: with ten versions and a program that are all equally good, the program then "beats the best
version" in 4 to 17 % of simulated studies, where the level of the test allows 2.5 %; and the
p-value hangs on how the images are dealt (on the digits, from 0.0004 to 0.13).

So it is picked on the very images that it is judged on, which flatters it, and both claims stay
honest: to beat the flattered version is harder than to beat any one that is named beforehand (under
1 % of those studies), and to lose to it counts only after its p-value is multiplied by the number
of versions that it is the best of (Bonferroni).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.evaluation.clustered import Gain, clustered_gain

__all__ = ["Rival", "against_best_version"]


@dataclass(frozen=True)
class Rival:
    """The best single version, and what the program has over it.

    Attributes:
        version: its position; of equals, the first.
        gain: the program against it, on the images that were not made against it.
        p_picked: the p-value, allowing for the version's having been picked.
    """

    version: int
    gain: Gain
    p_picked: float


def against_best_version(
    program: Tensor,
    versions: Tensor,
    own: Tensor,
    originals: Tensor,
    generator: np.random.Generator,
) -> Rival | None:
    """Compare the program with the version that does best on images not made against itself.

    Args:
        program: bool [count], whether the program is right on each image.
        versions: bool [versions, count], the same for each version.
        own: int64 [count], the version that each image was made against; -1 for none.
        originals: int64 [count], the test image that each comes from.
        generator: draws for the interval and the test.

    Returns:
        The comparison; None for fewer than two versions, or if all images were made against one.

    Raises:
        InputError: the shapes do not fit.
    """
    if versions.ndim != 2 or any(
        one.shape != versions.shape[1:] for one in (program, own, originals)
    ):
        raise InputError(
            "versions must be bool [versions, count] and the others [count], not "
            f"{list(versions.shape)} and {list(program.shape)}, {list(own.shape)}, "
            f"{list(originals.shape)}"
        )
    number = len(versions)
    others = own != torch.arange(number)[:, None]
    tries = others.sum(dim=1)
    if number < 2 or not bool((tries > 0).any()):
        return None
    shares = (versions & others).sum(dim=1).double() / tries.clamp(min=1)
    best = int(torch.where(tries > 0, shares, -1.0).argmax())
    rows = others[best]
    gain = clustered_gain(
        program[rows].numpy(), versions[best, rows].numpy(), originals[rows].numpy(), generator
    )
    picked = gain.p_value if gain.difference >= 0 else min(number * gain.p_value, 1.0)
    return Rival(best, gain, picked)
