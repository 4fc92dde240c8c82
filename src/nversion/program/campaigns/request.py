"""What is asked for when images are to be certified, with usual values for all of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from nversion.errors import InputError

__all__ = ["SHARES", "Request", "Smoothing"]

SHARES: Mapping[str, tuple[float, ...]] = {
    "1": (0.5, 1.0, 2.0),
    "2": (0.1, 0.25, 0.5),
    "inf": (0.01, 0.02, 0.05),
}
"""The radii at which the certified share is given where no others are asked for."""

TARGETS = ("all", "random")


@dataclasses.dataclass(frozen=True)
class Smoothing:
    """How to smooth; the arguments of :func:`nversion.certification.smoothing.certify_smoothing`.

    Attributes:
        sigma: the noise's standard deviation, in pixel values; positive.
        samples: noisy copies of an image from which a probability is bounded, at least 1.
        confidence: that each certificate is true, in (0.5, 1).
    """

    sigma: float = 0.25
    samples: int = 10_000
    confidence: float = 0.999


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be certified.

    Attributes:
        norms: "1", "2" or "inf", at least one and each once.
        method: "interval", "linear" or "alpha"; ignored with `smoothing`.
        box: the range of valid pixels, which changed images keep; None for the whole ball.
        target: "all" other classes, or "random": one drawn for each image, for a network only.
        steps: how many times "alpha" improves its slopes.
        smoothing: certify the smoothed model instead, which is done in L2 and in the whole ball.
        at: radii at which the certified share is given; None for usual ones of each norm.
        compare: whether each version of a program is certified too.
        seed: of random targets and of noise.

    Raises:
        InputError: a value is out of its range, or does not go with another.
    """

    norms: tuple[str, ...] = tuple(SHARES)
    method: str = "linear"
    box: tuple[float, float] | None = (0.0, 1.0)
    target: str = "all"
    steps: int = 40
    smoothing: Smoothing | None = None
    at: tuple[float, ...] | None = None
    compare: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        names = ", ".join(SHARES)
        if not self.norms or len(set(self.norms)) < len(self.norms):
            raise InputError(f"norms must be some of {names}, each once, not {self.norms!r}")
        for norm in self.norms:
            if norm not in SHARES:
                raise InputError(f"norms must be some of {names}, not {norm!r}")
        if self.target not in TARGETS:
            raise InputError(f"target must be {' or '.join(TARGETS)}, not {self.target!r}")
        if not all(0.0 < radius < math.inf for radius in self.at or ()):
            raise InputError(f"at must be positive numbers, not {self.at!r}")
        if self.smoothing is None:
            return
        if self.norms != ("2",) or self.box is not None:
            raise InputError("smoothing certifies the whole ball in L2: norms ('2',) and box None")
        if self.compare or self.target != "all":
            raise InputError("smoothing compares nothing and has no target")

    def shares_at(self, norm: str) -> tuple[float, ...]:
        """Return the radii at which the certified share is given."""
        return SHARES[norm] if self.at is None else self.at
