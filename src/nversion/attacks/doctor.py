"""Whether an evaluation by attacks can be believed: the checks that reviewers make.

From Carlini et al., "On evaluating adversarial robustness" (2019, sections 4 and 5) and Pintor et
al., "Indicators of attack failure" (NeurIPS 2022): an attack that is hindered looks like a defence
that works. Each check is one a sound evaluation passes:

- the model gives the same answer when asked again, and the same in any batch;
- gradients are there: neither zero nor without a number;
- more steps of an attack do not find less;
- no attack without gradients, and no transfer from other networks, finds what an attack with
  gradients misses;
- at a radius at which every image can be made grey, every image falls;
- verdicts do not hang on ties.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.attacks.ball import BALLS
from nversion.attacks.criteria import log_odds
from nversion.attacks.registry import create
from nversion.ensemble import ABSTENTION, Ensemble
from nversion.errors import InputError, UnsupportedModuleError
from nversion.models import check_images, check_labels, device_of, dtype_of, frozen, predict
from nversion.modes import ordinary
from nversion.norms import norm_name
from nversion.repeats import FEW, check_repeats

__all__ = ["Check", "Diagnosis", "examine"]

EPSILON = {"linf": 0.1, "l2": 1.0}
LARGE = {"linf": 0.5, "l2": 0.5}
"""Radii: of the checks that compare attacks; and at which every image can be made grey, per pixel
in Linf and in root mean square in L2."""

FEW_STEPS, MANY_STEPS, QUERIES, TARGETS = 10, 60, 300, 4

BATCHES_DIFFER = 1e-3
"""By how much of the largest logit answers may differ between an image alone and in a batch."""

MOST = 0.05
"""The share of images with ties, or without gradients, up to which a check passes."""


@dataclasses.dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: in short.
        passed: None where it does not apply.
        says: what was found, in a sentence.
        facts: the numbers behind it, as JSON values.
    """

    name: str
    passed: bool | None
    says: str
    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """All checks of a model.

    Attributes:
        images: how many images were looked at, all of them classified correctly.
        norm: "l2" or "linf".
        checks: in the order in which they were made.
    """

    images: int
    norm: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if check.passed is False)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values."""
        return dataclasses.asdict(self)


@typed
@ordinary()
def examine(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    norm: float | str = "inf",
    others: Sequence[nn.Module] = (),
    epsilon: float | None = None,
    seed: int = 0,
) -> Diagnosis:
    """Check whether attacks on a network, or on a program, can be believed.

    Args:
        model: maps images to logits, or a program that votes; a program's versions are what is
            transferred from.
        images: floating [count, channels, height, width] in [0, 1]; some dozens will do.
        labels: int64 [count].
        norm: 2 or infinity.
        others: networks of the same task, for transfer.
        epsilon: the radius at which attacks are compared; by default 0.1 in Linf, 1 in L2.
        seed: of the attacks.

    Raises:
        InputError: malformed images or labels, another norm, or no image that the model gets right.
    """
    check_images(images)
    check_labels(labels, images.shape[0])
    kind = norm_name(norm, BALLS)
    images, labels = images.to(device_of(model)), labels.to(device_of(model))
    with frozen(model):
        repeats = _repeats(model, images)
        if not repeats.passed:
            return Diagnosis(len(images), kind, (repeats,))
        right = (_answers(model, images) == labels).nonzero().squeeze(1)
        if len(right) == 0:
            raise InputError("the model gets none of the images right; there is nothing to check")
        ties = _ties(model, images)
        images, labels = images[right], labels[right]
        patient = _Patient(model, images, labels, kind, epsilon or EPSILON[kind], seed)
        members = list(model.readers(images)) if isinstance(model, Ensemble) else []
        checks = (
            repeats,
            _batches(model, images),
            _gradients(model, images, labels),
            *_compared(patient, [*others, *(members if len(members) > 1 else [])]),
            ties,
        )
    return Diagnosis(len(images), kind, checks)


@dataclasses.dataclass(frozen=True)
class _Patient:
    """A model with images that it gets right, and how it is attacked."""

    model: nn.Module
    images: Tensor
    labels: Tensor
    norm: str
    epsilon: float
    seed: int

    def falls(self, name: str, source: nn.Module | None = None, **options: Any) -> Tensor:
        """Return which images an attack, on `source` or the model itself, makes the model lose."""
        options = {"norm": self.norm, "epsilon": self.epsilon, **options}
        attack = create(name, **options)
        found = attack(source or self.model, self.images, self.labels, seed=self.seed)
        return (_answers(self.model, found.images) != self.labels) & found.success


def _answers(model: nn.Module, images: Tensor) -> Tensor:
    """Return the classes, or the verdicts of a true vote, int64 [count], where the images are."""
    vote: Callable[[Tensor], Any] | None = getattr(model, "vote", None)
    if isinstance(model, Ensemble) and vote is not None:
        labels: Tensor = vote(images).labels
        return labels.to(images.device)
    return predict(model, images).to(images.device)


def _repeats(model: nn.Module, images: Tensor) -> Check:
    try:
        check_repeats(model, images[:FEW], "an attack's success")
    except UnsupportedModuleError as error:
        return Check("asked again", False, str(error), {})
    return Check("asked again", True, "the model gives the same answers when asked again", {})


def _batches(model: nn.Module, images: Tensor) -> Check:
    some = images[:16].to(device=device_of(model), dtype=dtype_of(model))
    with torch.no_grad():
        together = model(some).double()
        alone = torch.cat([model(image[None]) for image in some]).double()
    off = float(((together - alone).abs().amax(dim=1) / together.abs().amax(dim=1)).max())
    passed = off <= BATCHES_DIFFER
    what = "the same" if passed else "others"
    says = f"an image alone gets {what} answers as in a batch (off by {off:.1e} of the largest)"
    return Check("batches", passed, says, {"largest_difference": off})


def _gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Check:
    leaf = images.to(device=device_of(model), dtype=dtype_of(model)).detach().requires_grad_(True)
    logits = model(leaf)
    zero = broken = torch.ones(len(images), dtype=torch.bool)
    if logits.requires_grad:
        total = log_odds(logits.float(), labels.to(logits.device)).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
        flat = gradient.flatten(1).cpu()
        broken = ~flat.isfinite().all(dim=1)
        zero = (flat == 0).all(dim=1)
    else:
        broken = torch.zeros_like(zero)
    share = float((zero | broken).double().mean())
    says = f"{int(zero.sum())} of {len(images)} images have a gradient of zero, "
    says += f"{int(broken.sum())} one that is not finite"
    facts = {"zero": int(zero.sum()), "not_finite": int(broken.sum())}
    return Check("gradients", share <= MOST, says, facts)


def _compared(patient: _Patient, others: Sequence[nn.Module]) -> list[Check]:
    """Return the checks that compare attacks."""
    few = patient.falls("apgd", steps=FEW_STEPS)
    many = patient.falls("apgd", steps=MANY_STEPS)
    found, lost = int(many.sum()), int((few & ~many).sum())
    total = len(patient.labels)
    checks = [
        Check(
            "more steps",
            found >= int(few.sum()),
            f"apgd fools {int(few.sum())} of {total} images in {FEW_STEPS} steps and {found} in "
            f"{MANY_STEPS}, at {patient.epsilon:g}",
            {"few": int(few.sum()), "many": found, "lost": lost},
        )
    ]
    # One loss may be masked where another is not; what all of them miss counts.
    many = many | patient.falls("apgd", loss="targeted-dlr", targets=TARGETS, steps=MANY_STEPS)
    found = int(many.sum())
    black = patient.falls("square", queries=QUERIES)
    alone = int((black & ~many).sum())
    checks.append(
        Check(
            "black box",
            alone == 0,
            f"square, without gradients, fools {int(black.sum())} images, {alone} of which apgd "
            "does not by either loss",
            {"black_box": int(black.sum()), "white_box": found, "black_box_alone": alone},
        )
    )
    if others:
        moved = torch.zeros_like(many)
        for other in others:
            moved |= patient.falls("apgd", other, steps=FEW_STEPS)
        alone = int((moved & ~many).sum())
        says = f"images made for {len(others)} other networks fool the model on {int(moved.sum())}"
        says += f" images, {alone} of which apgd does not"
        facts = {"transferred": int(moved.sum()), "transferred_alone": alone}
        checks.append(Check("transfer", alone == 0, says, facts))
    else:
        checks.append(Check("transfer", None, "there are no other networks to try", {}))
    size = LARGE[patient.norm]
    if patient.norm == "l2":
        size *= patient.images[0].numel() ** 0.5
    far = patient.falls("apgd", epsilon=size, steps=MANY_STEPS) | many
    says = f"at {size:g}, where every image can be made grey, {int(far.sum())} of {total} fall"
    checks.append(Check("large radius", bool(far.all()), says, {"fallen": int(far.sum())}))
    return checks


def _ties(model: nn.Module, images: Tensor) -> Check:
    """Check how many verdicts hang on a tie."""
    if isinstance(model, Ensemble):
        tied = _answers(model, images) == ABSTENTION
        what = "have no verdict"
    else:
        with torch.no_grad():
            logits = model(images.to(device=device_of(model), dtype=dtype_of(model)))
        top = logits.topk(2, dim=1).values
        tied = top[:, 0] == top[:, 1]
        what = "have two classes with the largest logit"
    share = float(tied.double().mean())
    says = f"{int(tied.sum())} of {len(images)} images {what}"
    return Check("ties", share <= MOST, says, {"tied": int(tied.sum())})
