"""Faulty versions: what was wrong with whom, on which images, and who is never asked again.

A version that raises, gives numbers that are not finite, or outputs of another shape, is voted out
on the images where it does so, and of the others it keeps its voice; so an image's verdict does not
depend on the images beside it. One whose process hangs or crashes
(:mod:`nversion.program.isolation`) is voted out for the rest of the call. One that answers with a
constant cannot be told from one image at a time, and is found beforehand, on probes.

What N-version programs do with versions that fail silently, and with those that stop: Avizienis and
Laprie, "Dependable computing: from concepts to design diversity", Proceedings of the IEEE 74(5),
1986.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from nversion.errors import InputError

__all__ = ["KINDS", "Fault", "constant_faults", "default_quorum", "joined_faults", "said"]

KINDS = ("raises", "shape", "nan", "infinite", "constant", "hangs", "crashes")
"""From the rudest on, except that the last two need a process of their own."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """Why a version was voted out, and where.

    Attributes:
        version: its place in the program.
        kind: one of :data:`KINDS`.
        reason: what was seen, in a few words.
        images: bool [count], the images on which it has no voice for this.
    """

    version: int
    kind: str
    reason: str
    images: Tensor

    def __str__(self) -> str:
        count, out = len(self.images), int(self.images.sum())
        where = "" if out == count else f" on {out} of {count} images"
        return f"models[{self.version}] {self.reason}{where}"


def default_quorum(versions: int) -> int:
    """Return a strict majority of so many versions."""
    return versions // 2 + 1


def joined_faults(parts: Sequence[tuple[int, tuple[Fault, ...]]]) -> tuple[Fault, ...]:
    """Return the faults of several parts of the images as faults of all of them.

    Args:
        parts: how many images each part has, and its faults.
    """
    total = sum(count for count, _ in parts)
    found: dict[tuple[int, str], Fault] = {}
    start = 0
    for count, faults in parts:
        for fault in faults:
            key = (fault.version, fault.kind)
            images = found[key].images if key in found else torch.zeros(total, dtype=torch.bool)
            images[start : start + count] |= fault.images
            reason = found[key].reason if key in found else fault.reason
            found[key] = dataclasses.replace(fault, reason=reason, images=images)
        start += count
    return tuple(sorted(found.values(), key=lambda one: (one.version, KINDS.index(one.kind))))


def said(faults: Sequence[Fault]) -> str:
    """Return faults in one line."""
    return "; ".join(map(str, faults))


def constant_faults(predictions: Tensor, labels: Tensor | None = None) -> dict[int, Fault]:
    """Return the versions that name one class for all probes.

    Where most do, the probes may be the reason, being of one class. Where their classes are known,
    it is the versions, however many: then they are found all the same.

    Args:
        predictions: the versions' own classes of the probes, int64 [versions, probes]; -1 where one
            has no answer.
        labels: the probes' classes, int64 [probes], if they are known.

    Raises:
        InputError: there are fewer than two probes, or they tell nothing: they are of one class, or
            half of the versions or more name one class for all, and theirs are not known.
    """
    if predictions.shape[1] < 2:
        raise InputError("there must be two probe images or more")
    if labels is not None and not bool((labels != labels[0]).any()):
        raise InputError("the probe images are all of one class; take probes of several classes")
    constant = (predictions == predictions[:, :1]).all(dim=1) & (predictions[:, 0] >= 0)
    if labels is None and int(constant.sum()) * 2 >= len(predictions) > 1:
        raise InputError(
            "half of the versions or more name one class for all probe images; take probes of "
            "several classes, and say which with their labels"
        )
    everywhere = torch.ones(predictions.shape[1], dtype=torch.bool)
    return {
        place: Fault(
            place,
            "constant",
            f"names class {int(predictions[place, 0])} for all {predictions.shape[1]} probes",
            everywhere,
        )
        for place in constant.nonzero().flatten().tolist()
        if len(predictions) > 1
    }
