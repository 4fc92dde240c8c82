"""What ``nversion certify`` was asked for, checked before anything is loaded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from nversion.cli.places import check_place
from nversion.errors import InputError

if TYPE_CHECKING:
    from nversion.program.campaigns.request import Request

__all__ = ["CONFIDENCE", "SAMPLES", "SIGMA", "STEPS", "Options", "check_file"]

# The library's, written down a second time since it takes seconds to import; tests hold one to
# the other.
STEPS = 40
SIGMA, SAMPLES, CONFIDENCE = 0.25, 10_000, 0.999

FILES = (".json", ".npz")

ONE, SMOOTHING = "one network does not vote", "only --method smoothing has it"
ALPHA = "only --method alpha has it"


@dataclasses.dataclass(frozen=True)
class Options:
    """The options as they were given; None where nothing was said."""

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
    seed: int

    @property
    def norms(self) -> tuple[str, ...]:
        """The norms, as "1", "2" or "inf"."""
        default = "2" if self.method == "smoothing" else "1,2,inf"
        return tuple((default if self.norm is None else self.norm).split(","))

    @property
    def radii(self) -> tuple[float, ...] | None:
        """The radii of --at; None for the library's.

        Raises:
            InputError: they are no positive numbers.
        """
        if self.at is None:
            return None
        try:
            radii = tuple(float(part) for part in self.at.split(","))
        except ValueError:
            radii = (-1.0,)
        if not all(0.0 < radius < float("inf") for radius in radii):
            raise InputError(f"--at {self.at}: must be positive numbers with commas between")
        return radii

    def check(self, several: bool) -> None:
        """Raise InputError where the options contradict each other, before anything is loaded.

        Args:
            several: whether there is more than one version.
        """
        _ = self.radii
        smoothing = self.method == "smoothing"
        for option, given, reason in (
            ("--norm", smoothing and self.norms != ("2",), "smoothing certifies L2 only"),
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

    def request(self) -> Request:
        """Return what is asked of the library."""
        from nversion.program.campaigns.request import Request, Smoothing

        if self.method == "smoothing":
            smoothing = Smoothing(
                SIGMA if self.sigma is None else self.sigma,
                SAMPLES if self.samples is None else self.samples,
                CONFIDENCE if self.confidence is None else self.confidence,
            )
            return Request(self.norms, box=None, smoothing=smoothing, at=self.radii, seed=self.seed)
        return Request(
            self.norms,
            method=self.method,
            box=None if self.box is False else (0.0, 1.0),
            target=self.target,
            steps=STEPS if self.steps is None else self.steps,
            at=self.radii,
            compare=self.compare,
            seed=self.seed,
        )


def check_file(out: Path) -> None:
    """Raise unless radii can be written to `out`.

    Raises:
        InputError: another ending, or a folder.
    """
    if out.suffix.lower() not in FILES:
        raise InputError(f"--out {out}: must end in {' or '.join(FILES)}")
    if out.is_dir():
        raise InputError(f"--out {out}: is a folder; name a file")
    check_place(out, "--out")
