"""What every attack shares: the call and the result.

An attack is a configured value (a frozen dataclass whose fields are its options); model, images
and labels arrive when it is called. A subclass only proposes images (:meth:`Attack.propose`).
:mod:`nversion.attacks.verification` then decides, by evaluating the model on exactly the images
that are returned, whether each is a success; where it is not, the original is returned.
"""

from __future__ import annotations

import abc
import dataclasses
from typing import Any, ClassVar, Protocol, final

import torch
from torch import Tensor, nn

from nversion.attacks.criteria import (
    excess_margins,
    is_adversarial,
    log_odds,
    margins,
    success_margin,
    towards_errors,
)
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.verification import Demand, settled
from nversion.errors import InputError
from nversion.models import check_images, check_labels, frozen
from nversion.modes import ordinary
from nversion.outputs import distributions
from nversion.recognition import reader
from nversion.repeats import FEW, changed, check_repeats

__all__ = [
    "Attack",
    "AttackResult",
    "check_count",
    "check_option",
    "excess_margins",
    "is_adversarial",
    "log_odds",
    "margins",
    "result_of",
    "success_margin",
    "towards_errors",
]

AT_ONCE = 512
"""How many images an attack treats at once, at the most: it keeps several copies of each."""


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """What an attack returned, image by image, on the device of the images it was given.

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
        forwards: images sent forward through the model, altogether, besides a few that tell
            whether it repeats its answers.
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


class Spent(Protocol):
    """What counts the evaluations of a model."""

    @property
    def forwards(self) -> int:
        """Images sent forward."""
        ...

    @property
    def backwards(self) -> int:
        """Images whose gradient was taken."""
        ...


class Attack(abc.ABC):
    """An untargeted attack, configured by its dataclass fields.

    Class attributes:
        name: the name in the registry.
        norm: the distance the attack makes small: "l0", "l1", "l2" or "linf".
        paper: where it was published, in short; its module's docstring has the whole reference.
    """

    name: ClassVar[str]
    norm: ClassVar[str]
    paper: ClassVar[str] = ""

    @abc.abstractmethod
    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return a candidate for each image, [count, ...]; the original where none was found.

        All `images` are float32 in [0, 1] and correctly classified. Each row must be treated by
        itself. Rows that hold NaN are taken as failures; values outside [0, 1] are cut off.
        """

    def constrain(self, originals: Tensor, images: Tensor) -> Tensor:
        """Return `images` brought back to where this attack may return them: into [0, 1].

        An attack with a budget of distance also brings them back into its ball.
        """
        return images.clamp(0.0, 1.0)

    @final
    def options(self) -> dict[str, Any]:
        """Return the attack's options by name, as JSON values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload,no-any-return]

    @final
    @ordinary()
    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        seed: int = 0,
        storable: bool = False,
    ) -> AttackResult:
        """Attack `model` on `images`.

        Args:
            model: maps [count, channels, height, width] in [0, 1] to logits [count, classes]. It
                is attacked in evaluation mode without weight gradients, and handed back as it was.
            images: floating [count, channels, height, width] in [0, 1].
            labels: int64 [count], the true classes.
            seed: for random attacks; one seed, image and label give one result in any batch.
            storable: whether the returned images must stay adversarial when they are stored in 8
                bits a value; they are moved by the smallest further step that makes them so.

        Raises:
            InputError: images or labels are malformed, or the model's output is not logits.
            UnsupportedModuleError: the model's answers do not repeat: it draws at random in
                evaluation mode as well, or changes from call to call.

        Warns:
            OutputsWarning: the model gives probabilities; its logits are attacked.
        """
        check_images(images)
        check_labels(labels, images.shape[0])
        with frozen(model):
            oracle = Oracle(model)
            originals = images.detach().to(device=oracle.device, dtype=torch.float32)
            originals = originals.contiguous()
            labels = labels.to(oracle.device)
            if len(originals) == 0:
                none = labels.bool()
                return result_of(originals, originals, none, none, labels, oracle, images.device)
            logits = oracle.logits(originals)
            if distributions(logits) or bool(logits.isnan().any(dim=1).all()):
                oracle = Oracle(reader(model, tuple(images.shape[1:])).eval())
                logits = oracle.logits(originals)
            check_labels(labels, len(originals), logits.shape[1])
            check_repeats(model, originals[:FEW], "an attack's success")
            correct = (logits.argmax(dim=1) == labels) & ~logits.isnan().any(dim=1)
            returned, success = originals.clone(), torch.zeros_like(correct)
            demand = Demand.of(logits, labels, oracle.dtype, storable=storable)
            for rows in torch.split(correct.nonzero().squeeze(1), AT_ONCE):
                if len(rows) == 0:
                    break
                returned[rows], success[rows] = self._verified(
                    oracle, originals[rows], demand.rows(rows), seed
                )
            predictions = logits.argmax(dim=1)
            if bool(success.any()):
                predictions[success] = oracle.logits(returned[success]).argmax(dim=1)
                if bool((predictions == labels)[success].any()):
                    raise changed(model, "an attack's success")
            return result_of(
                originals, returned, success, correct, predictions, oracle, images.device
            )

    def _verified(
        self, oracle: Oracle, originals: Tensor, demand: Demand, seed: int
    ) -> tuple[Tensor, Tensor]:
        """Return what the attack makes of correctly classified images, and whether each holds."""
        noise = Noise(seed, self.name, originals, demand.labels)
        proposed = self.propose(oracle, originals, demand.labels, noise).detach()
        broken = proposed.flatten(1).isnan().any(dim=1)[:, None, None, None]
        candidates = torch.where(broken, originals, proposed.clamp(0.0, 1.0))
        candidates, held = settled(oracle, originals, candidates, demand, self.constrain)
        return torch.where(held[:, None, None, None], candidates, originals), held


def result_of(
    originals: Tensor,
    returned: Tensor,
    success: Tensor,
    correct: Tensor,
    predictions: Tensor,
    spent: Spent,
    device: torch.device,
) -> AttackResult:
    """Return the result of an attack, with the distances measured; tensors move to `device`."""
    changes = (returned.double() - originals.double()).abs()
    flat = changes.flatten(1)
    largest = flat.amax(dim=1) if flat.numel() else flat.sum(dim=1)

    def where_successful(distances: Tensor) -> Tensor:
        return torch.where(success, distances.float(), torch.inf).to(device)

    return AttackResult(
        images=returned.to(device),
        success=success.to(device),
        already_misclassified=(~correct).to(device),
        predictions=predictions.to(device),
        l0=where_successful((changes != 0).any(dim=1).flatten(1).sum(dim=1)),
        l1=where_successful(flat.sum(dim=1)),
        l2=where_successful(flat.square().sum(dim=1).sqrt()),
        linf=where_successful(largest),
        forwards=spent.forwards,
        backwards=spent.backwards,
    )


def check_option(name: str, value: float, *, low: float = 0.0, positive: bool = True) -> None:
    """Raise unless an attack's numeric option is finite and above (or at least) `low`.

    Raises:
        InputError: it is not.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool)
    good = good and abs(value) < float("inf") and (value > low if positive else value >= low)
    if not good:
        relation = "above" if positive else "at least"
        raise InputError(f"{name} must be a finite number {relation} {low:g}, not {value!r}")


def check_count(name: str, value: int, *, low: int = 1) -> None:
    """Raise unless an attack's option is a whole number of at least `low`.

    Raises:
        InputError: it is not.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InputError(f"{name} must be a whole number of at least {low}, not {value!r}")
