"""The nearest error that the best attacks of a norm find, so that nobody has to choose one.

Which attack comes nearest differs from image to image, since each ends in a minimum of its own; so
the nearest of several is what an attack is judged by (Cinà et al., "AttackBench: evaluating
gradient-based attacks for adversarial examples", AAAI 2025). For
each norm there is a list of attacks that fail in different ways (:data:`LONG`, and :data:`SHORT`
for few passes), each with a share of the passes that may be spent on an image. All are run; in L0
what each has found is improved on by exchanging pixels (:mod:`nversion.attacks.exchange`). The
nearest point that any has met is improved on once more (:mod:`nversion.attacks.polish`), and
returned.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from nversion.attacks.base import Attack, check_count
from nversion.attacks.exchange import Exchange, exchange
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.record import Record
from nversion.attacks.registry import create, register
from nversion.attacks.rivals import try_all_classes
from nversion.attacks.slp import SuccessiveLinearProgramming
from nversion.norms import norm_name

__all__ = ["FEW_PASSES", "LEAST_PASSES", "LONG", "SHORT", "NearestOfAll", "Part", "Plan"]

LEAST_PASSES = 200
"""Fewer are not enough for the first points and a few linear models."""

FEW_PASSES = 1000
"""Up to so many, shorter attacks from fewer classes are run (:data:`SHORT`)."""

CLASSES = 9
"""Classes towards which first points are tried."""

FIRST_COST, LAST_COST = 110, 40
"""Passes that an image may take for the first points, and for the last steps beside these."""

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


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done in a norm.

    Attributes:
        parts: the attacks that are run, in this order.
        first: linear models solved at the most from the nearest first point.
        last: and from the nearest of all.
        exchanged: the search for fewer pixels after each attack, in L0.
    """

    parts: tuple[Part, ...]
    first: int = 60
    last: int = 20
    exchanged: Exchange | None = None

    def left(self, passes: int) -> int:
        """Return how many passes of a budget are left for the attacks."""
        return passes - 2 * self.first - FIRST_COST - 2 * self.last - LAST_COST


def _slp(norm: str, share: float, **settings: Any) -> Part:
    """Return the part that slp from all classes takes."""
    return Part("slp", {"norm": norm, "refinements": 20}, share, each=18, **settings)


def _few_slp(norm: str, share: float, **settings: Any) -> Part:
    """Return the part that slp from three classes takes."""
    options = {"norm": norm, "refinements": 10, "classes": 3}
    return Part("slp", options, share, each=6, enough=15, **settings)


def _alma(norm: str, share: float) -> Part:
    return Part("alma", {"norm": norm}, share, enough=300)


def _fab(share: float) -> Part:
    return Part("fab", {"norm": "linf", "targets": 3}, share, each=9.0, beside=15, enough=45)


def _fmn(norm: str, share: float) -> Part:
    return Part("fmn", {"norm": norm, "refinements": 10}, share, beside=32)


LONG = {
    "l0": Plan(
        (
            _slp("l0", 0.6, beside=250, enough=35),
            Part("sigma-zero", {}, 0.4, beside=160, enough=230),
        ),
        exchanged=Exchange(),
    ),
    "l1": Plan((_slp("l1", 0.5, enough=40), _fmn("l1", 0.15), _alma("l1", 0.35))),
    "l2": Plan((_slp("l2", 0.6, enough=40), _alma("l2", 0.4))),
    "linf": Plan((_slp("linf", 0.5, enough=50), _fmn("linf", 0.15), _fab(0.35))),
}
"""What is done in each norm."""

SHORT = {
    "l0": Plan(
        (
            _few_slp("l0", 0.4, beside=115),
            Part("sigma-zero", {"refinements": 10}, 0.6, beside=115),
        ),
        *(5, 5, Exchange()),
    ),
    "l1": Plan((_few_slp("l1", 0.4, beside=50), _fmn("l1", 0.6)), 10, 10),
    "l2": Plan((_few_slp("l2", 0.4, beside=50), _alma("l2", 0.6)), 10, 10),
    # All classes with few steps are nearer there than three with more.
    "linf": Plan((_slp("linf", 0.75, enough=50), _fmn("linf", 0.25))),
}
"""What is done with at most :data:`FEW_PASSES`."""


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

    @property
    def plan(self) -> Plan:
        """What is done within the budget."""
        return (SHORT if self.passes <= FEW_PASSES else LONG)[self.norm]

    def parts(self) -> tuple[Attack, ...]:
        """Return the attacks that are run, in order: all of the plan, or none with few passes."""
        left = self.plan.left(self.passes)
        made = [part.within(left) for part in self.plan.parts]
        attacks = tuple(attack for attack in made if attack is not None)
        return attacks if len(attacks) == len(made) else ()

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        plan, attacks = self.plan, self.parts()
        try_all_classes(goal, record, CLASSES)
        polish(goal, record, plan.first if attacks else min(60, (self.passes - FIRST_COST) // 2))
        for attack in attacks:
            own = Record(images, self.norm)
            _take_over(goal, own, attack.propose(oracle, images, labels, noise))
            if plan.exchanged is not None:
                exchange(goal, own, plan.exchanged)
            record.join(own)
        if attacks:
            polish(goal, record, plan.last)
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
