"""The nearest error that the best attacks of a norm find, so that nobody has to choose one.

Which attack comes nearest differs from image to image, since each ends in a minimum of its own; so
the nearest of several is what an attack is judged by (Cinà et al., "AttackBench: evaluating
gradient-based attacks for adversarial examples", AAAI 2025). For
each norm there is a list of attacks that fail in different ways (:data:`PARTS`), each with a share
of the passes that may be spent on an image. All are run; the nearest point that any has met is
improved on once more (:mod:`nversion.attacks.polish`), and returned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from nversion.attacks.base import Attack, check_count
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.record import Record
from nversion.attacks.registry import create, register
from nversion.attacks.rivals import try_all_classes
from nversion.attacks.slp import SuccessiveLinearProgramming
from nversion.norms import norm_name

__all__ = ["LEAST_PASSES", "PARTS", "NearestOfAll", "Part"]

LEAST_PASSES = 200
"""Fewer are not enough for the first points and a few linear models."""

CLASSES = 9
"""Classes towards which first points are tried."""

FIRST_STEPS, LAST_STEPS = 60, 20
"""Linear models solved at the most from the nearest first point, and from the nearest of all."""

FIRST_COST, LAST_COST = 110, 80
"""Passes that an image may take for the first points and what is not counted by steps; and for
the last steps altogether."""

FURTHER = 1.0 + 2.0**-10
"""Points whose margin is too thin for a success are tried again so much further out."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One attack of a list, and what it may cost.

    Attributes:
        name: the attack's.
        options: its options, but for the one that follows the budget.
        share: of the passes, for this attack.
        counted: the option that follows the budget.
        each: passes that one more of it costs an image.
        beside: passes that the attack costs whatever the option says, about.
        enough: the option's largest value.
    """

    name: str
    options: Mapping[str, Any]
    share: float
    counted: str = "steps"
    each: float = 2.0
    beside: float = 75.0
    enough: int = 100

    def within(self, passes: int) -> Attack | None:
        """Return the attack for a budget of passes per image; None where that is too small."""
        number = min(int((self.share * passes - self.beside) / self.each), self.enough)
        return create(self.name, **self.options, **{self.counted: number}) if number > 0 else None


PARTS: dict[str, tuple[Part, ...]] = {
    "l0": (
        Part("slp", {"norm": "l0", "refinements": 20}, share=0.6, each=18, beside=150, enough=40),
        Part("sigma-zero", {}, share=0.4, beside=110, enough=300),
    ),
    "l1": (
        Part("slp", {"norm": "l1", "refinements": 20}, share=0.6, each=18, enough=40),
        Part("alma", {"norm": "l1"}, share=0.4, enough=300),
    ),
    "l2": (
        Part("slp", {"norm": "l2", "refinements": 20}, share=0.6, each=18, enough=40),
        Part("alma", {"norm": "l2"}, share=0.4, enough=300),
    ),
    "linf": (
        Part("slp", {"norm": "linf", "refinements": 20}, share=0.7, each=18, enough=50),
        Part(
            *("fab", {"norm": "linf", "targets": 3}),
            share=0.3,
            each=9.0,
            beside=15,
            enough=45,
        ),
    ),
}
"""For each norm, the attacks that are run, in this order."""


@register
@dataclasses.dataclass(frozen=True)
class NearestOfAll(Attack):
    """The nearest success of the best attacks of a norm, image by image.

    Attributes:
        norm: "l0", "l1", "l2" or "linf" (or 0, 1, 2, inf).
        passes: forward and backward passes together that may be spent on an image, in the mean.
    """

    # The base fixes the norm per class; here it is an option, and so differs between instances.
    norm: str = "l2"  # type: ignore[misc]
    passes: int = 2000

    name: ClassVar[str] = "nearest"
    paper: ClassVar[str] = "Cinà et al. 2025"

    def __post_init__(self) -> None:
        object.__setattr__(self, "norm", norm_name(self.norm))
        check_count("passes", self.passes, low=LEAST_PASSES)

    def parts(self) -> tuple[Attack, ...]:
        """Return the attacks that are run, in order."""
        left = self.passes - 2 * FIRST_STEPS - FIRST_COST - LAST_COST
        made = [part.within(left) for part in PARTS[self.norm]]
        return tuple(attack for attack in made if attack is not None)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        try_all_classes(goal, record, CLASSES)
        polish(goal, record, min(FIRST_STEPS, (self.passes - FIRST_COST) // 2))
        attacks = self.parts()
        for attack in attacks:
            _take_over(goal, record, attack.propose(oracle, images, labels, noise))
        if attacks:
            polish(goal, record, LAST_STEPS)
        else:
            missed = record.sizes.isinf().nonzero().squeeze(1)
            if len(missed) > 0:
                last = self._last().propose(oracle, images[missed], labels[missed], noise)
                _take_over(goal, record, last, missed)
        return record.points

    def _last(self) -> Attack:
        """Return what few passes are enough for, where no first point was an error."""
        steps = max((self.passes - FIRST_COST) // 6, 1)
        return SuccessiveLinearProgramming(self.norm, 1, steps=steps, refinements=steps)


def _take_over(goal: Goal, record: Record, points: Tensor, rows: Tensor | None = None) -> None:
    """Show `record` the points that an attack proposes, some only just past the boundary.

    They are of all images, or of `rows`, int64.
    """
    points = points.nan_to_num(0.5).clamp(0.0, 1.0)
    if rows is None:
        rows = torch.arange(len(points), device=points.device)
    held = goal.look(points, rows) < 0
    record.keep(rows, points, held)
    thin = rows[~held]
    if len(thin) > 0:
        originals = record.originals[thin]
        further = (originals + FURTHER * (points[~held] - originals)).clamp(0.0, 1.0)
        record.keep(thin, further, goal.look(further, thin) < 0)
