"""Adversarial frequency: how often attacks succeed on images that a model gets right.

The measure is that of Bastani et al., "Measuring neural net robustness with constraints", NeurIPS
2016, taken over attack runs without a bound on the distance, as the 2019 study did.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Protocol

from torch import Tensor

from nversion.adversarial import wilson_of_share

__all__ = ["Attacked", "Frequency", "adversarial_frequency"]


class Attacked(Protocol):
    """What attacks did, image by image: an ``AttackResult`` or an ``AttackRun``."""

    @property
    def success(self) -> Tensor:
        """Whether each attack succeeded, bool [count]."""

    @property
    def already_misclassified(self) -> Tensor:
        """Whether each image was wrong before any attack, bool [count]."""


@dataclasses.dataclass(frozen=True)
class Frequency:
    """How many attack runs succeeded.

    Attributes:
        succeeded: runs that made an image adversarial.
        tried: runs on images that were classified correctly before.
        already_misclassified: runs on images that were wrong before; counted nowhere else.
        share: succeeded / tried; None if none was tried.
        images: how many images were tried: the most that one result tried.
        low: lower end of the share's 95 % Wilson interval of as many tries as there are images,
            for several attacks on one image are not independent.
        high: its upper end.
    """

    succeeded: int
    tried: int
    already_misclassified: int
    share: float | None
    images: int
    low: float
    high: float


def adversarial_frequency(results: Iterable[Attacked]) -> Frequency:
    """Return the share of attack runs that succeeded, over all `results` together.

    Args:
        results: what each attack did to the same images. Of results on different images the share
            is right too, and the interval wider than need be.
    """
    succeeded = tried = wrong = images = 0
    for result in results:
        right = ~result.already_misclassified
        succeeded += int((result.success & right).sum())
        tried += int(right.sum())
        images = max(images, int(right.sum()))
        wrong += int(result.already_misclassified.sum())
    share = succeeded / tried if tried else None
    low, high = wilson_of_share(share or 0.0, images)
    return Frequency(succeeded, tried, wrong, share, images, low, high)
