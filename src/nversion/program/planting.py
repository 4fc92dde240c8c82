"""Faults planted into what versions answered, and what a vote makes of 0, 1, 2, ... of them.

It stands over stored outputs, so that a hundred versions take seconds. Four kinds of faults, from
the mildest to the worst that a vote can meet:

- "silent": the version has no voice, for it raises, crashes, hangs or gives NaN: all the same to a
  vote;
- "constant": it names one class for all images, each version its own, and was not found on probes;
- "stuck": it sees one image always, the same as the others that are stuck;
- "lying": it names, as do all that lie, the wrong class that is most probable.

The versions fail in random orders; of all orders the mean is given, and the two ends. Faults of
weights need the networks themselves (:mod:`nversion.program.campaigns.injecting`). Versions that
fail at random or in league: Lamport, Shostak and Pease, "The Byzantine generals problem", ACM
Transactions on Programming Languages and Systems 4(3), 1982.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nversion.adversarial.intervals import wilson_of_share
from nversion.errors import InputError
from nversion.models import check_labels
from nversion.naming import did_you_mean
from nversion.program.faults import default_quorum
from nversion.program.verdict import blocks, vote
from nversion.program.voters import Outputs, Voter, create_voter
from nversion.randomness import generator

__all__ = ["PLANTED", "FaultCurve", "fault_counts", "plant_faults"]

SURE = 10.0
"""By how much the logit of a class that a faulty version names is above the others: 99.96 % of ten
classes, as in :class:`nversion.program.injection.Faulty`."""

FEW = 12
"""Up to so many versions, every number of faulty ones is tried."""


@dataclasses.dataclass(frozen=True)
class FaultCurve:
    """What one voter decides as more and more versions have one kind of fault.

    All lists have a value for each number of faulty versions, the mean over the orders in which
    they fail, as shares of the images.

    Attributes:
        kind: of the faults, one of :data:`PLANTED`.
        voter: its name.
        right: verdicts that are the true class.
        right_low: lower end of its 95 % interval (Wilson's, of as many tries as there are images,
            which is the cautious end: an image is tried in every order).
        right_high: upper end.
        right_least: the same share in the worst order.
        right_most: in the best order.
        wrong: verdicts that are another class.
        wrong_low: lower end of its interval.
        wrong_high: upper end.
        withheld: images without a verdict.
    """

    kind: str
    voter: str
    right: list[float] = dataclasses.field(default_factory=list)
    right_low: list[float] = dataclasses.field(default_factory=list)
    right_high: list[float] = dataclasses.field(default_factory=list)
    right_least: list[float] = dataclasses.field(default_factory=list)
    right_most: list[float] = dataclasses.field(default_factory=list)
    wrong: list[float] = dataclasses.field(default_factory=list)
    wrong_low: list[float] = dataclasses.field(default_factory=list)
    wrong_high: list[float] = dataclasses.field(default_factory=list)
    withheld: list[float] = dataclasses.field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return dataclasses.asdict(self)

    def _add(self, right: Sequence[float], wrong: Sequence[float], images: int) -> None:
        """Add the next number of faulty versions: a share for each order."""
        middle, bad = sum(right) / len(right), sum(wrong) / len(wrong)
        ends, bad_ends = wilson_of_share(middle, images), wilson_of_share(bad, images)
        values = (
            *(middle, *ends, min(right), max(right)),
            *(bad, *bad_ends, max(1.0 - middle - bad, 0.0)),
        )
        names = [field.name for field in dataclasses.fields(self)][2:]
        for name, value in zip(names, values, strict=True):
            getattr(self, name).append(value)


def fault_counts(versions: int) -> list[int]:
    """Return numbers of faulty versions worth trying, from 0 to a little above half.

    All of them for up to twelve versions; else 0 to 3, 5, every tenth part up to 60 %, and both
    sides of the largest number that leaves a strict majority.
    """
    spare = versions - default_quorum(versions)
    if versions <= FEW:
        return list(range(min(spare + 3, versions + 1)))
    tenths = {round(part * versions / 10) for part in range(1, 7)}
    return sorted({0, 1, 2, 3, 5, spare, spare + 1} | tenths)


def plant_faults(
    logits: Tensor,
    labels: Tensor,
    voters: Sequence[str | Voter],
    *,
    kinds: Sequence[str] | None = None,
    counts: Sequence[int] | None = None,
    orders: int = 10,
    seed: int = 0,
) -> list[FaultCurve]:
    """Return what votes decide on images as more and more of their versions become faulty.

    Args:
        logits: what the versions answer, floating [versions, count, classes], finite, at least one
            of each and two classes.
        labels: the true classes, int64 [count].
        voters: voters or their names.
        kinds: of faults; all by default.
        counts: numbers of faulty versions, from small to large; by default :func:`fault_counts`.
        orders: random orders in which the versions fail.
        seed: of the orders, the constant classes and the images that are seen always.

    Returns:
        A curve for each kind and voter, in this order.

    Raises:
        InputError: a malformed argument.
    """
    kinds = PLANTED if kinds is None else tuple(kinds)
    counts = fault_counts(len(logits)) if counts is None else list(counts)
    _check(logits, labels, kinds, counts, orders)
    known = [create_voter(voter) for voter in voters]
    for voter in known:
        voter.check(len(logits), None)
    truth, sound = labels.cpu(), logits.detach().cpu()
    shares: dict[tuple[str, str, int], list[tuple[float, float]]] = {}
    for draw in range(orders):
        order = torch.randperm(len(sound), generator=generator("failing", seed, draw))
        for kind in kinds:
            faulty = _FAULTS[kind](sound, truth, seed, draw)
            for name, count, share in _voted(sound, faulty, order, truth, known, counts):
                shares.setdefault((kind, name, count), []).append(share)
    curves = []
    for kind in kinds:
        for voter in known:
            curve = FaultCurve(kind, voter.name)
            for count in counts:
                right, wrong = zip(*shares[kind, voter.name, count], strict=True)
                curve._add(right, wrong, len(truth))
            curves.append(curve)
    return curves


def _check(
    logits: Tensor, labels: Tensor, kinds: Sequence[str], counts: Sequence[int], orders: int
) -> None:
    if logits.ndim != 3 or 0 in logits.shape or logits.shape[2] < 2:
        raise InputError(
            "logits must be [versions, count, classes], of one version, one image and two classes "
            f"at least, not of the shape {list(logits.shape)}"
        )
    if not logits.is_floating_point() or not bool(logits.isfinite().all()):
        raise InputError("logits must be floating point, and finite: faults are planted here")
    check_labels(labels, logits.shape[1])
    for kind in kinds:
        if kind not in PLANTED:
            raise InputError(
                f"no fault of outputs is called {kind!r}{did_you_mean(str(kind), PLANTED)}; there "
                f"are: {', '.join(PLANTED)}"
            )
    if list(counts) != sorted(set(counts)) or not all(0 <= n <= len(logits) for n in counts):
        raise InputError(
            f"counts must be numbers of faulty versions, 0 to {len(logits)}, each once and from "
            f"small to large, not {list(counts)}"
        )
    if orders < 1:
        raise InputError(f"orders must be at least 1, not {orders}")


def _voted(
    sound: Tensor,
    faulty: Tensor | None,
    order: Tensor,
    truth: Tensor,
    voters: Sequence[Voter],
    counts: Sequence[int],
) -> Iterator[tuple[str, int, tuple[float, float]]]:
    """Yield voter, number of faulty versions, and the shares of right and wrong verdicts.

    Args:
        sound: what the versions answer, [versions, count, classes].
        faulty: what they answer with the fault; None where they answer nothing.
        order: in which they fail.
        truth: the true classes.
        voters: that vote.
        counts: numbers of faulty versions.
    """
    versions, count, classes = sound.shape
    found = torch.zeros(len(voters), len(counts), 2, dtype=torch.int64)
    for rows in blocks(count, versions * classes):
        healthy = Outputs.from_logits(list(sound[:, rows]))
        broken = None if faulty is None else Outputs.from_logits(list(faulty[:, rows]))
        for place, number in enumerate(counts):
            outputs = _mixed(healthy, broken, order[:number])
            for row, voter in enumerate(voters):
                labels = vote(outputs, voter, None).labels
                right = int((labels == truth[rows]).sum())
                decided = int((labels >= 0).sum())
                found[row, place] += torch.tensor([right, decided - right])
    for row, voter in enumerate(voters):
        for place, number in enumerate(counts):
            right, wrong = (found[row, place].double() / count).tolist()
            yield voter.name, number, (right, wrong)


def _mixed(sound: Outputs, faulty: Outputs | None, which: Tensor) -> Outputs:
    """Return outputs of versions of which some are faulty."""
    if len(which) == 0:
        return sound
    if faulty is None:
        present = torch.ones(sound.probabilities.shape[:2], dtype=torch.bool)
        present[which] = False
        return dataclasses.replace(sound, present=present)
    chances, logs = sound.probabilities.clone(), sound.log_probabilities.clone()
    chances[which], logs[which] = faulty.probabilities[which], faulty.log_probabilities[which]
    return Outputs(chances, logs)


def _silent(sound: Tensor, truth: Tensor, seed: int, draw: int) -> None:
    """Return nothing: so do these versions."""


def _constant(sound: Tensor, truth: Tensor, seed: int, draw: int) -> Tensor:
    versions, count, classes = sound.shape
    draws = generator("constant", seed, draw)
    named = torch.randint(classes, (versions, 1), generator=draws).expand(versions, count)
    return _sure(named, classes)


def _stuck(sound: Tensor, truth: Tensor, seed: int, draw: int) -> Tensor:
    seen = int(torch.randint(sound.shape[1], (1,), generator=generator("stuck", seed, draw)))
    return sound[:, seen : seen + 1].expand_as(sound)


def _lying(sound: Tensor, truth: Tensor, seed: int, draw: int) -> Tensor:
    probable = sound.double().softmax(dim=2).mean(dim=0)
    probable[torch.arange(len(truth)), truth] = -1.0
    named = probable.argmax(dim=1).expand(len(sound), -1)
    return _sure(named, sound.shape[2])


def _sure(named: Tensor, classes: int) -> Tensor:
    return SURE * torch.nn.functional.one_hot(named, classes).float()


_FAULTS: Mapping[str, Callable[[Tensor, Tensor, int, int], Tensor | None]] = {
    "silent": _silent,
    "constant": _constant,
    "stuck": _stuck,
    "lying": _lying,
}

PLANTED = tuple(_FAULTS)
"""The kinds of faults, from the mildest on."""
