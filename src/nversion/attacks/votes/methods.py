"""The methods that an attack on a vote runs, as tables that can grow.

A method works on the images that are still worth it and shows every point to the
:class:`~nversion.attacks.votes.search.Search`. Three kinds stand beside each other:

- the house's attacks (:data:`HOUSE`), on the vote itself where its gradient shows the way, and on
  smooth votes of the same members, whose points are then taken along the line to where the true
  vote falls: hard and median votes, whose gradients are zero or one member's, are first attacked
  so (a defence of that kind fell from 71.8 to 13.2 % by transfer from the mean of its members);
- descents by the objectives of :mod:`nversion.attacks.votes.objectives`;
- vote-DeepFool, for votes that are counted or ordered.

Each ends with steps that take the vote, or each of its members, to be linear.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from nversion.attacks.base import Attack
from nversion.attacks.criteria import log_odds
from nversion.attacks.linearised import IN_L2, IN_LINF, Finish, finish
from nversion.attacks.registry import create, names
from nversion.attacks.votes.deepfool import Goals, Jacobians, first_slopes, goals_of, vote_deepfool
from nversion.attacks.votes.descent import RowObjective, descend, walk
from nversion.attacks.votes.greedy import arc
from nversion.attacks.votes.members import Surrogate, Verdicts
from nversion.attacks.votes.objectives import OBJECTIVES, kth_margin
from nversion.attacks.votes.search import Search
from nversion.models import frozen
from nversion.randomness import generator

__all__ = ["HOUSE", "Budget", "House", "Method", "house_attacks", "methods_for"]

Mean = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class House:
    """One of the house's attacks, as it is run on votes.

    Attributes:
        name: in the registry; one that is not there is left out.
        norms: the norms it is run for.
        options: its options; ``norm`` is added where the attack has it.
    """

    name: str
    norms: tuple[str, ...]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)


HOUSE = (
    House("slp", ("l2",), {"classes": 9, "steps": 12, "refinements": 20}),
    House("slp", ("linf",), {"classes": 5, "steps": 12, "refinements": 20}),
    House("fmn", ("l2", "linf"), {"steps": 80, "refinements": 20}),
    House("pdgd", ("l2",)),
    House("alma", ("l2",), {"steps": 80}),
    House("fab", ("linf",), {"targets": 2, "steps": 30}),
)
"""Run on smooth votes, the first that is there on other smooth votes of the members too. An attack
that finds points nobody else does belongs here; one that is not in the registry is passed over."""

LABELS_ONLY = (
    House("hop-skip-jump", ("l2", "linf"), {"steps": 8, "evaluations": 50, "starts": 30}),
    House("square", ("l2", "linf"), {"queries": 500}),
)
"""Run on bare verdicts, for images that nothing else broke."""


def house_attacks() -> tuple[Attack, ...]:
    """Return the house's attacks that are run: what results rest on and no import shows."""
    known = names()
    return tuple(
        create(one.name, **one.options) for one in (*HOUSE, *LABELS_ONLY) if one.name in known
    )


AGAIN = {"l2": Finish(memory=0.6), "linf": Finish("linf", steps=12, extra=0.01, memory=0.8)}
FINISH = {"l2": IN_L2, "linf": IN_LINF}

FIRST_WALK = {"l2": 16, "linf": 14}
DESCENT, ARC = 30, 20
WALK = 16
SHORT_WALK = 10

STARTS = 2
"""Random changes that a descent from beside the original begins with."""


@dataclasses.dataclass
class Budget:
    """What was spent by attacks that counted for themselves: images sent through the vote."""

    forwards: int = 0
    backwards: int = 0


@dataclasses.dataclass(frozen=True)
class Method:
    """A named way to look for nearer points of some images.

    Attributes:
        name: as results say who found a point.
        run: takes the images' numbers, int64 [some].
        last_resort: only for images that nothing else broke.
    """

    name: str
    run: Callable[[Tensor], None]
    last_resort: bool = False


class Methods:
    """Makes the methods for one way that a vote may fall.

    Args:
        search: the nearest points so far.
        verdict: which way.
        seed: for attacks that draw at random.
        budget: what attacks that count for themselves add to.
    """

    def __init__(self, search: Search, verdict: bool, seed: int, budget: Budget) -> None:
        self.search, self.verdict, self.seed, self.budget = search, verdict, seed, budget
        self._first: Jacobians | None = None
        self._goals: Goals | None = None
        self._reach: tuple[Tensor, Tensor] | None = None

    def listed(self) -> list[Method]:
        """Return the methods, those that find most first."""
        search = self.search
        norm, smooth = search.norm, search.members.rule.smooth
        house = [one for one in HOUSE if norm in one.norms and one.name in names()]
        means = self._other_means()
        found: list[Method] = []
        if smooth:
            found += [self._first_walk("vote")]
            found += [self._house(one, "") for one in house]
            found += [self._house(one, mean) for mean in means for one in house[:1]]
        else:
            found += [self._first_walk("log-mean-softmax")]
            found += [Method("vote-deepfool", self._deepfool)]
            found += [self._descent("kth-margin"), self._afresh("vote", beside=True)]
            found += [self._afresh("mean-loss")]
            found += [self._afresh("hinge"), Method("arc", self._arc), self._afresh("reweighted")]
            found += [self._house(one, mean) for one in house for mean in means]
        found += [self._descent(name) for name in ("reweighted", "mean-loss", "hinge")]
        if smooth and search.members.count > 1:
            found += [self._descent("kth-margin")]
        found += [self._labels_only(one) for one in LABELS_ONLY if norm in one.norms]
        return found

    def _other_means(self) -> list[str]:
        """Return the smooth votes of the same members that are not this vote itself."""
        members = self.search.members
        draws = torch.linspace(-3.0, 3.0, members.count * 12).sin().view(members.count, 3, 4) * 4
        draws = draws.to(members.oracle.device)
        own = members.ensemble.combine(draws)
        return [
            name
            for name in ("log-mean-softmax", "mean-logit")
            if not members.rule.smooth
            or not torch.allclose(own, self._mean(name)(draws), atol=1e-4)
        ]

    def _mean(self, name: str) -> Mean:
        shares = self.search.members.shares

        def mean_softmax(logits: Tensor) -> Tensor:
            weighted = logits.log_softmax(dim=2) + shares.to(logits).log()[:, None, None]
            return weighted.logsumexp(dim=0)

        def mean_logits(logits: Tensor) -> Tensor:
            mean = (logits.log_softmax(dim=2) * shares.to(logits)[:, None, None]).sum(dim=0)
            return mean.log_softmax(dim=1)

        return mean_softmax if name == "log-mean-softmax" else mean_logits

    def _house(self, house: House, mean: str) -> Method:
        members = self.search.members
        combine = self._mean(mean) if mean else members.ensemble.combine
        name = f"{house.name} on {mean}" if mean else house.name

        def run(rows: Tensor) -> None:
            before = self.search.distances(self.verdict)
            self._attack(house, Surrogate(members.readers, combine), rows)
            self._improve(rows, before)

        return Method(name, run)

    def _labels_only(self, house: House) -> Method:
        members = self.search.members

        def run(rows: Tensor) -> None:
            self._attack(house, Verdicts(members.readers, members.ensemble), rows)

        return Method(f"{house.name} on labels", run, last_resort=True)

    def _attack(self, house: House, model: torch.nn.Module, rows: Tensor) -> None:
        search = self.search
        attack = create(house.name, **house.options)
        if "norm" in attack.options():
            attack = create(house.name, **house.options, norm=search.norm)
        with frozen(model):
            found = attack(model, search.originals[rows], search.labels[rows], seed=self.seed)
        self.budget.forwards += found.forwards
        self.budget.backwards += found.backwards
        held = found.success
        if bool(held.any()):
            search.try_lines(rows[held], found.images[held], self.verdict)

    def _objective(self, name: str) -> RowObjective:
        search = self.search
        shares = search.members.shares

        def objective(logits: Tensor, rows: Tensor) -> Tensor:
            labels = search.labels[rows]
            if name == "vote":
                return log_odds(search.members.combined(logits), labels)
            if name == "kth-margin":
                sizes, needed = self._sizes()
                return kth_margin(logits, labels, sizes[rows], needed[rows])
            return OBJECTIVES[name](logits, labels, shares)

        return objective

    def _first_walk(self, name: str) -> Method:
        """Return the method that comes near the boundary in the fewest steps."""

        def run(rows: Tensor) -> None:
            before = self.search.distances(self.verdict)
            steps = FIRST_WALK[self.search.norm]
            walk(self.search, rows, self._objective(name), steps, verdict=self.verdict)
            self._improve(rows, before, once=True)

        return Method("linear" if name == "vote" else f"linear on {name}", run)

    def _descent(self, name: str) -> Method:
        def run(rows: Tensor) -> None:
            before = self.search.distances(self.verdict)
            descend(self.search, rows, self._objective(name), DESCENT, verdict=self.verdict)
            self._improve(rows, before)

        return Method(name, run)

    def _afresh(self, name: str, *, beside: bool = False) -> Method:
        """Return a descent that knows of no point yet, and is improved for itself.

        What a vote that is counted is nearest to depends on which members fall, so that steps from
        the nearest point known do not leave its kind: another kind is followed to its end first.

        Args:
            name: of the objective.
            beside: begin at random changes instead of the original, the same for all images.
        """

        def run(rows: Tensor) -> None:
            for start in self._starts(name) if beside else [None]:
                self._anew(name, rows, start)

        shown = "log-mean-softmax" if name == "vote" else name
        return Method(f"{shown} afresh", run)

    def _anew(self, name: str, rows: Tensor, start: Tensor | None) -> None:
        """Descend in a search of its own, improve what it finds, and show that to the search."""
        search, own = self.search, Methods(self._empty(), self.verdict, self.seed, self.budget)
        own._first, own._goals, own._reach = self._first, self._goals, self._reach
        own.search.begin(name)
        objective = own._objective(name)
        descend(own.search, rows, objective, DESCENT, verdict=self.verdict, start=start)
        fell = rows[own.search.distances(self.verdict)[rows].isfinite()]
        if len(fell):
            own._walk(fell, SHORT_WALK, again=True)
            points = own.search.nearest(self.verdict).points[fell]
            search.see(fell, points, search.members.logits(points), self.verdict)

    def _starts(self, name: str) -> Iterator[Tensor]:
        """Return changes by the same up or down everywhere, at random, of length 1, [1, ...]."""
        like = self.search.originals[:1]
        size = like.numel() ** -0.5 if self.search.norm == "l2" else 1.0
        for number in range(STARTS):
            draws = generator("vote", name, self.seed, number)
            signs = torch.randint(2, like.shape, generator=draws) * 2 - 1
            yield size * signs.to(like)

    def _empty(self) -> Search:
        """Return a search of the same images that knows of no point."""
        search = self.search
        return Search(search.members, search.originals, search.labels, search.norm)

    def _improve(self, rows: Tensor, before: Tensor, *, once: bool = False) -> None:
        """Go on from points that are new by steps that take what decides to be linear.

        Args:
            rows: int64 [some], the images.
            before: the distances of all images, of which new points have smaller ones.
            once: in L2, leave out the second time.
        """
        search = self.search
        rows = rows[search.distances(self.verdict)[rows] < before[rows]]
        if len(rows) == 0:
            return
        if not search.members.rule.smooth:
            self._walk(rows, SHORT_WALK, again=True)
            return
        slope = search.slope()

        def slope_of_part(points: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
            return slope(points, rows[own])

        again = () if once and search.norm == "l2" else (AGAIN[search.norm],)
        for how in (FINISH[search.norm], *again):
            finish(search.lost.select(rows), slope_of_part, how)

    def _arc(self, rows: Tensor) -> None:
        before = self.search.distances(self.verdict)
        arc(self.search, rows, ARC, self._sizes()[1][rows], verdict=self.verdict)
        self._improve(rows, before)

    def _deepfool(self, rows: Tensor) -> None:
        self._walk(rows, WALK, again=False)
        self._walk(rows, SHORT_WALK, again=True)

    def _walk(self, rows: Tensor, steps: int, *, again: bool) -> None:
        if self._goals is None:
            self._goals = goals_of(self.search, self.first(), self.verdict)
        most = 1 if again else 2
        vote_deepfool(
            self.search, rows, self._goals, steps, verdict=self.verdict, most=most, again=again
        )

    def first(self) -> Jacobians:
        """Return the linearisations at the originals, worked out once."""
        if self._first is None:
            search = self.search
            self._first = first_slopes(search.members, search.originals, search.labels)
        return self._first

    def _sizes(self) -> tuple[Tensor, Tensor]:
        """Return the sizes of the margins' gradients, and how many members each rival needs."""
        if self._reach is None:
            self._reach = self._reaches()
        return self._reach

    def _reaches(self) -> tuple[Tensor, Tensor]:
        first, search = self.first(), self.search
        differences = first.gradients - first.gradients[:, :, :1]
        dual = differences.norm(dim=3) if search.norm == "l2" else differences.abs().sum(dim=3)
        count, members, classes = first.logits.shape
        sizes = torch.full((count, members, classes), torch.inf, device=dual.device)
        places = first.classes[:, None].expand(-1, members, -1)
        sizes = sizes.scatter(2, places, dual).clamp(min=1e-9)
        rule = search.members.rule
        needed = torch.full((count, classes), members, device=dual.device)
        for row, label in enumerate(search.labels.tolist()):
            for rival in range(classes):
                if rival != label:
                    wanted = rule.needed(label, rival, classes, verdict=self.verdict)
                    needed[row, rival] = min(wanted, members)
        return sizes, needed


def methods_for(search: Search, verdict: bool, seed: int, budget: Budget) -> list[Method]:
    """Return the methods for one way that the vote may fall (see :class:`Methods`)."""
    return Methods(search, verdict, seed, budget).listed()
