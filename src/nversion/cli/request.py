"""What ``nversion certify`` was asked for, checked before anything is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from nversion.cli.options import check_place

__all__ = ["CONFIDENCE", "SAMPLES", "SIGMA", "STEPS", "Request", "check_file"]

STEPS = 40
SIGMA, SAMPLES, CONFIDENCE = 0.25, 10_000, 0.999

SHARES: Mapping[str, tuple[float, ...]] = {
    "1": (0.5, 1.0, 2.0),
    "2": (0.1, 0.25, 0.5),
    "inf": (0.01, 0.02, 0.05),
}
"""The radii at which the certified share is given, unless --at names others."""

FILES = (".json", ".npz")

ONE, SMOOTHING = "one network does not vote", "only --method smoothing has it"
ALPHA = "only --method alpha has it"


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be certified, as it was asked for; None where nothing was said."""

    norm: str | None
    method: str
    box: bool | None
    voter: str | None
    k: int | None
    compare: bool
    target: str
    at: str | None
    steps: int | None
    sigma: float | None
    samples: int | None
    confidence: float | None

    @property
    def norms(self) -> list[str]:
        """The norms, as "1", "2" or "inf"."""
        default = "2" if self.method == "smoothing" else "1,2,inf"
        return (default if self.norm is None else self.norm).split(",")

    def shares_at(self, norm: str) -> list[float]:
        """The radii at which the certified share is given."""
        from nversion.errors import InputError

        if self.at is None:
            return list(SHARES[norm])
        try:
            radii = [float(part) for part in self.at.split(",")]
        except ValueError:
            radii = [-1.0]
        if not all(0.0 < radius < float("inf") for radius in radii):
            raise InputError(f"--at {self.at}: must be positive numbers with commas between")
        return radii

    def check(self, models: int) -> None:
        """Raise InputError where the options contradict each other, before anything is loaded."""
        from nversion.errors import InputError

        for norm in self.norms:
            self.shares_at(norm)
        smoothing, several = self.method == "smoothing", models > 1
        for option, given, reason in (
            ("--norm", smoothing and self.norms != ["2"], "smoothing certifies L2 only"),
            ("--box", smoothing and self.box is True, "smoothing certifies the whole ball"),
            ("--target random", smoothing and self.target == "random", "smoothing has no target"),
            ("--compare", smoothing and self.compare, "smoothing compares nothing"),
            ("--target random", several and self.target == "random", "a vote has no target"),
            ("--compare", not several and self.compare, ONE),
            ("--voter", not several and self.voter is not None, ONE),
            ("--k", not several and self.k is not None, ONE),
            ("--steps", self.method != "alpha" and self.steps is not None, ALPHA),
            ("--sigma", not smoothing and self.sigma is not None, SMOOTHING),
            ("--samples", not smoothing and self.samples is not None, SMOOTHING),
            ("--confidence", not smoothing and self.confidence is not None, SMOOTHING),
        ):
            if given:
                raise InputError(f"{option}: {reason}; leave it out")

    @property
    def slope_steps(self) -> int:
        """How many times "alpha" improves its slopes."""
        return STEPS if self.steps is None else self.steps

    @property
    def domain(self) -> tuple[float, float] | None:
        """The range of valid pixels, or None for the whole ball."""
        return None if self.method == "smoothing" or self.box is False else (0.0, 1.0)


def check_file(out: Path) -> None:
    """Raise unless radii can be written to `out`.

    Raises:
        InputError: another ending, or a folder.
    """
    from nversion.errors import InputError

    if out.suffix.lower() not in FILES:
        raise InputError(f"--out {out}: must end in {' or '.join(FILES)}")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; name a file")
    check_place(out, "--out")
