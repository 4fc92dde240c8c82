"""Intervals of shares, by Wilson's score, which hold near 0 and 1 and for few tries.

Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
American Statistical Association 22 (1927); recommended for few trials and for shares near 0 or 1 by
Brown, Cai and DasGupta (Statistical Science 16, 2001).
"""

from __future__ import annotations

import math
from statistics import NormalDist

from nversion.errors import InputError

__all__ = ["wilson_interval", "wilson_of_share"]


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval for a share, (low, high); (0, 1) without trials.

    Raises:
        InputError: the counts or the confidence are impossible.
    """
    if not 0 <= successes <= trials:
        raise InputError(f"successes must lie in [0, {trials}], not {successes}")
    return wilson_of_share(successes / trials if trials else 0.0, trials, confidence)


def wilson_of_share(share: float, tries: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval of a share of so many independent tries; (0, 1) of none.

    The tries need not be those that the share was counted over. Attack runs on one image stand and
    fall together, so a share of runs is known about as well as if each image had been tried once:
    its interval is that of as many tries as there are images, which is the cautious end.

    Args:
        share: in [0, 1].
        tries: independent tries, at least 0.
        confidence: of the interval, in (0, 1).

    Raises:
        InputError: a number is out of its range.
    """
    if not 0.0 <= share <= 1.0 or not tries >= 0:
        raise InputError(f"a share in [0, 1] of 0 or more tries, not {share!r} of {tries!r}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie in (0, 1), not {confidence!r}")
    if tries == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = share + z**2 / (2 * tries)
    spread = z * math.sqrt(share * (1 - share) / tries + z**2 / (4 * tries**2))
    scale = 1 + z**2 / tries
    # At 0 and at all successes the bound is exact; rounding must not carry it past the share.
    low = 0.0 if share == 0.0 else (centre - spread) / scale
    high = 1.0 if share == 1.0 else (centre + spread) / scale
    return low, high
