"""What a vote is worth when some of its versions are faulty: planted faults, counted verdicts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.models import BATCH_SIZE, check_images, check_labels
from nversion.naming import did_you_mean
from nversion.program.asking import Answer, ask, gather, read
from nversion.program.faults import constant_faults, default_quorum
from nversion.program.injection import INJECTIONS, PROCESS_KINDS, inject
from nversion.program.isolation import IsolatedVersions, Isolation
from nversion.program.verdict import Verdict, vote
from nversion.program.voters import Voter
from nversion.progress import progress_bar
from nversion.randomness import generator

__all__ = ["Injected", "InjectionReport", "Plan", "inject_faults"]

AT_ONCE = 2
"""Processes of crashing and hanging versions that run at the same time."""

PROBES = 200
"""Images on which constant versions are found, the first ones."""


@dataclasses.dataclass(frozen=True)
class Injected:
    """What the program decided with some faulty versions.

    Attributes:
        kind: of the faults.
        faulty: the names of the versions that have them.
        voted_out: the names of those that have no voice on some image.
        right: how many verdicts are the true class.
        wrong: how many are another.
        abstained: how many images get none.
        accuracy: the share of images whose verdict is right.
        changed: how many verdicts are another class than without faults.
    """

    kind: str
    faulty: list[str]
    voted_out: list[str]
    right: int
    wrong: int
    abstained: int
    accuracy: float
    changed: int


@dataclasses.dataclass(frozen=True)
class InjectionReport:
    """What the program decided with every kind and number of faults.

    Attributes:
        voter: its name.
        quorum: how many versions must have a voice.
        images: how many were voted on.
        screened: whether constant versions were looked for on probes beforehand.
        seed: of the order of the versions, the constant classes and the bits.
        flips: bits that were flipped in each version.
        rows: by kind and number.
    """

    voter: str
    quorum: int
    images: int
    screened: bool
    seed: int
    flips: int
    rows: list[Injected]

    def of(self, kind: str, faulty: int) -> Injected:
        """Return the row of one kind and number.

        Raises:
            InputError: it was not tried.
        """
        for row in self.rows:
            if (row.kind, len(row.faulty)) == (kind, faulty):
                return row
        raise InputError(f"{faulty} versions with {kind} were not tried")

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which faults are planted, and where.

    Attributes:
        kinds: of faults (:data:`nversion.program.injection.INJECTIONS`).
        into: names of the versions that become faulty, one after the other; by default all, in an
            order that is drawn.
        most: the largest number of faulty versions; by default as many as there are.
        flips: bits to flip in each version.
        seed: of the order, the constant classes and the bits.
        screen: whether constant versions are looked for on the first images beforehand.
        isolation: bounds of the processes of crashing and hanging versions.
    """

    kinds: Sequence[str] = INJECTIONS
    into: Sequence[str] = ()
    most: int | None = None
    flips: int = 10
    seed: int = 0
    screen: bool = True
    isolation: Isolation = dataclasses.field(default_factory=lambda: Isolation(seconds=5.0))

    def order(self, names: Sequence[str]) -> list[int]:
        """Return the places of the versions that become faulty, in that order.

        Raises:
            InputError: there is no such version, or number of them.
        """
        unknown = [name for name in self.into if name not in names]
        if unknown or len(set(self.into)) < len(self.into):
            hint = did_you_mean(unknown[0], names) if unknown else ""
            raise InputError(
                f"into must name versions, each once, of {', '.join(names)}, not "
                f"{', '.join(self.into)}{hint}"
            )
        order = [list(names).index(name) for name in self.into]
        if not order:
            drawn = torch.randperm(len(names), generator=generator("faulty", self.seed))
            order = drawn.tolist()
        most = len(order) if self.most is None else self.most
        if not 0 <= most <= len(order):
            raise InputError(
                f"at the most {len(order)} versions can become faulty, not {self.most}"
            )
        return order[:most]


def inject_faults(
    networks: Mapping[str, nn.Module],
    voter: Voter,
    images: Tensor,
    labels: Tensor,
    plan: Plan | None = None,
    quorum: int | None = None,
) -> InjectionReport:
    """Let versions vote of which 0, 1, 2, ... are faulty, for every kind of fault.

    Args:
        networks: the versions by name, at least one; they stay as they are.
        voter: how they vote.
        images: floating [count, channels, height, width] in [0, 1], at least one.
        labels: the true classes, int64 [count].
        plan: which faults, where; all kinds into all versions by default.
        quorum: how many versions must have a voice; a strict majority by default.

    Raises:
        InputError: a malformed argument.
    """
    plan = Plan() if plan is None else plan
    check_images(images)
    check_labels(labels, len(images))
    voter.check(len(networks), None)
    if not len(images) or not networks:
        raise InputError("there must be versions and images, at least one of each")
    names, models = list(networks), list(networks.values())
    places = plan.order(names)
    quorum = default_quorum(len(models)) if quorum is None else quorum
    truth = labels.cpu()
    rows: list[Injected] = []
    with progress_bar("voting", 1 + len(plan.kinds)) as advance:
        sound = [ask(_read(one, images), images, BATCH_SIZE, i) for i, one in enumerate(models)]
        usual = _decided(sound, truth, voter, quorum, plan)
        advance()
        for kind in plan.kinds:
            broken = dict(_answers(models, places, kind, images, plan))
            for count in range(len(places) + 1):
                answers = [
                    broken[place] if place in places[:count] else one
                    for place, one in enumerate(sound)
                ]
                verdict = _decided(answers, truth, voter, quorum, plan)
                faulty = [names[place] for place in places[:count]]
                rows.append(_counted(kind, faulty, names, verdict, usual, truth))
            advance()
    return InjectionReport(
        voter.name, quorum, len(images), plan.screen, plan.seed, plan.flips, rows
    )


def _read(model: nn.Module, images: Tensor) -> nn.Module:
    return read(model, tuple(images.shape[1:]))


def _answers(
    models: Sequence[nn.Module], places: Sequence[int], kind: str, images: Tensor, plan: Plan
) -> Iterator[tuple[int, Answer]]:
    """Yield what each of the chosen versions says with a fault, with its place."""
    broken = {
        place: inject(models[place], kind, seed=plan.seed + place, flips=plan.flips)
        for place in places
    }
    if kind not in PROCESS_KINDS:
        for place, model in broken.items():
            yield place, ask(_read(model, images), images, BATCH_SIZE, place)
        return
    for start in range(0, len(places), AT_ONCE):
        part = places[start : start + AT_ONCE]
        processes = IsolatedVersions(len(models), plan.isolation)
        asked = [broken[place] if place in part else None for place in range(len(models))]
        try:
            found = processes.ask(asked, images, BATCH_SIZE)
        finally:
            processes.close()
        yield from ((place, answer) for place, answer in enumerate(found) if answer is not None)


def _decided(
    answers: list[Answer], labels: Tensor, voter: Voter, quorum: int, plan: Plan
) -> Verdict | None:
    """Return the verdict of a program that said so, without its constant versions; None for none.

    There is none where no version answers anything.
    """
    count = len(labels)
    try:
        asked = gather(answers, count)
        if plan.screen:
            for place, fault in _constant(asked.outputs.predictions(), labels).items():
                answers = [*answers]
                answers[place] = Answer.missing(place, fault.kind, fault.reason, count)
            asked = gather(answers, count)
    except InputError:
        return None
    return vote(asked.outputs, voter, None, quorum=quorum, faults=asked.faults)


def _constant(predictions: Tensor, labels: Tensor) -> dict[int, Any]:
    try:
        return constant_faults(predictions[:, :PROBES], labels[:PROBES])
    except InputError:  # the images are all of one class, and tell nothing
        return {}


def _counted(
    kind: str,
    faulty: list[str],
    names: list[str],
    verdict: Verdict | None,
    usual: Verdict | None,
    labels: Tensor,
) -> Injected:
    count = len(labels)
    decided = torch.full((count,), -1) if verdict is None else verdict.labels
    before = torch.full((count,), -1) if usual is None else usual.labels
    right, abstained = int((decided == labels).sum()), int((decided < 0).sum())
    out = {one.version for one in verdict.faults} if verdict else set(range(len(names)))
    return Injected(
        kind,
        faulty,
        [names[place] for place in sorted(out)],
        right,
        count - right - abstained,
        abstained,
        right / count,
        int(((decided != before) & (decided >= 0) & (before >= 0)).sum()),
    )
