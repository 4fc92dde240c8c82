"""What every attack shares: the call, the verification of its claims, and the result.

An attack is a configured value (a frozen dataclass whose fields are its options); model, images
and labels arrive when it is called. A subclass only proposes images (:meth:`Attack.propose`); this
module decides, by evaluating the model on exactly the images that are returned, whether each is a
success, and puts the original back where it is not.

Success asks for a margin: the largest other logit must exceed the label's by more than
:func:`success_margin`, so that the verdict survives the rounding differences of another batch size
or summation order.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Objective, Oracle
from nversion.errors import InputError
from nversion.models import check_images, check_labels, frozen

__all__ = [
    "Attack",
    "AttackResult",
    "check_option",
    "excess_margins",
    "is_adversarial",
    "log_odds",
    "margins",
    "success_margin",
    "towards_errors",
]

RELATIVE_MARGIN = 1e-5
"""Of the largest absolute logit (at least 1); float32 networks of the catalogue's size reproduce
their logits to about 1e-6 of it across batch sizes and summation orders."""


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the largest other logit minus the label's, [count]; positive means misclassified."""
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.amax(dim=1) - own


def success_margin(logits: Tensor) -> Tensor:
    """Return by how much a misclassification must hold to count, [count] (module docstring)."""
    return RELATIVE_MARGIN * logits.abs().amax(dim=1).clamp(min=1.0)


def excess_margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return :func:`margins` less :func:`success_margin`, [count]: above zero, adversarial."""
    return margins(logits, labels) - success_margin(logits)


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the label's softmax probability p, [count].

    The cross-entropy is softplus of this, so both have the same gradient up to a positive factor;
    but this one does not vanish where the model is so sure that 1 - p rounds to zero.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.logsumexp(dim=1) - own


def towards_errors(labels: Tensor) -> Objective:
    """Return the objective for :meth:`Oracle.gradient` that :func:`log_odds` is, for `labels`."""
    return lambda logits, rows: log_odds(logits, labels[rows])


def is_adversarial(logits: Tensor, labels: Tensor) -> Tensor:
    """Return bool [count]: misclassified, with the margin that a success needs."""
    finite = logits.isfinite().all(dim=1)
    return finite & (excess_margins(logits, labels) > 0)


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """What an attack returned, image by image.

    Attributes:
        images: float32 [count, channels, height, width]; the original where it failed.
        success: bool [count]; the prediction on the returned image differs from the label, and
            the original was classified correctly.
        already_misclassified: bool [count]; the original was wrong before any attack.
        predictions: int64 [count], on the returned images.
        l0: pixels changed (any channel) per image, float32 [count]; infinite where it failed.
        l1: sum of absolute changes; infinite where it failed.
        l2: Euclidean distance; infinite where it failed.
        linf: largest absolute change; infinite where it failed.
        forwards: images sent forward through the model, altogether.
        backwards: images whose gradient was taken, altogether.
    """

    images: Tensor
    success: Tensor
    already_misclassified: Tensor
    predictions: Tensor
    l0: Tensor
    l1: Tensor
    l2: Tensor
    linf: Tensor
    forwards: int
    backwards: int


class Attack(abc.ABC):
    """An untargeted attack, configured by its dataclass fields.

    Class attributes:
        name: the name in the registry.
        norm: the distance the attack makes small: "l0", "l1", "l2" or "linf".
    """

    name: ClassVar[str]
    norm: ClassVar[str]

    @abc.abstractmethod
    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return a candidate for each image, [count, ...]; the original where none was found.

        All `images` are float32 in [0, 1] and correctly classified (with the success margin's
        sign reversed or not: merely ``argmax == label``). Each row must be treated by itself.
        """

    @final
    def options(self) -> dict[str, Any]:
        """Return the attack's options by name, as JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @final
    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, seed: int = 0
    ) -> AttackResult:
        """Attack `model` on `images`.

        Args:
            model: maps [count, channels, height, width] in [0, 1] to logits [count, classes]. It
                is attacked in evaluation mode without weight gradients, and handed back as it was.
            images: floating [count, channels, height, width] in [0, 1].
            labels: int64 [count], the true classes.
            seed: for random attacks; one seed, image and label give one result in any batch.

        Raises:
            InputError: images or labels are malformed, or the model's output is not logits.
        """
        check_images(images)
        check_labels(labels, images.shape[0])
        originals = images.detach().to(torch.float32)
        labels = labels.to(originals.device)
        with frozen(model):
            oracle = Oracle(model)
            if len(originals) == 0:
                return _result(originals, originals, labels.bool(), labels, oracle)
            logits = oracle.logits(originals)
            check_labels(labels, len(originals), logits.shape[1])
            correct = logits.argmax(dim=1) == labels
            correct &= logits.isfinite().all(dim=1)
            candidates = originals.clone()
            if bool(correct.any()):
                rows = correct.nonzero().squeeze(1)
                noise = Noise(seed, self.name, originals[rows], labels[rows])
                proposed = self.propose(oracle, originals[rows], labels[rows], noise)
                candidates[rows] = proposed.detach().clamp(0.0, 1.0).nan_to_num(0.0)
            return _verified(oracle, originals, candidates, labels, correct)


def _verified(
    oracle: Oracle, originals: Tensor, candidates: Tensor, labels: Tensor, correct: Tensor
) -> AttackResult:
    success = correct & is_adversarial(oracle.logits(candidates), labels)
    returned = torch.where(success[:, None, None, None], candidates, originals)
    return _result(originals, returned, success, labels, oracle, correct)


def _result(
    originals: Tensor,
    returned: Tensor,
    success: Tensor,
    labels: Tensor,
    oracle: Oracle,
    correct: Tensor | None = None,
) -> AttackResult:
    if correct is None:
        correct = success
    predictions = oracle.logits(returned).argmax(dim=1) if len(returned) else labels
    changes = (returned - originals).flatten(2)
    flat = changes.flatten(1).abs()
    infinite = torch.full((len(returned),), torch.inf, device=returned.device)

    def where_successful(distances: Tensor) -> Tensor:
        return torch.where(success, distances.to(torch.float32), infinite)

    return AttackResult(
        images=returned,
        success=success,
        already_misclassified=~correct,
        predictions=predictions,
        l0=where_successful((changes != 0).any(dim=1).sum(dim=1)),
        l1=where_successful(flat.double().sum(dim=1)),
        l2=where_successful(flat.double().square().sum(dim=1).sqrt()),
        linf=where_successful(flat.amax(dim=1) if flat.shape[1] else infinite),
        forwards=oracle.forwards,
        backwards=oracle.backwards,
    )


def check_option(name: str, value: float, *, low: float = 0.0, positive: bool = True) -> None:
    """Raise unless an attack's numeric option is finite and above (or at least) `low`.

    Raises:
        InputError: it is not.
    """
    good = value == value and abs(value) != float("inf")
    good = good and (value > low if positive else value >= low)
    if not good:
        relation = "above" if positive else "at least"
        raise InputError(f"{name} must be a finite number {relation} {low:g}, not {value!r}")
