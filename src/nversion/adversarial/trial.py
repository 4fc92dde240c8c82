"""One test image under attack: what each attack took, and a picture of what came of it.

A network is tried with several attacks; a program also with all that is known against its vote.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nversion.adversarial.pictures import attack_grid, comparison
from nversion.adversarial.similarity import structural_similarity
from nversion.attacks import Attack, AttackResult
from nversion.attacks.votes import attack_program
from nversion.errors import InputError
from nversion.models import predict
from nversion.norms import norm_name
from nversion.progress import progress_bar
from nversion.workers import Failure, Task, run_tasks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["AttackTrial", "ImageTrial", "Measured", "try_attacks", "try_program"]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What an attack did to one image.

    Attributes:
        image: what it returned, float32 [channels, height, width]; the original where it failed.
        success: whether it is adversarial.
        prediction: the class of what it returned; -1 for a vote that names none.
        l0: pixels changed; None where it failed, like all distances.
        l1: sum of absolute changes.
        l2: Euclidean distance.
        linf: largest absolute change.
        ssim: structural similarity to the original, at most 1; None where it failed.
        forwards: images sent forward through the model.
        backwards: images whose gradient was taken.
        seconds: that it took.
    """

    image: Tensor
    success: bool
    prediction: int
    l0: float | None
    l1: float | None
    l2: float | None
    linf: float | None
    ssim: float | None
    forwards: int
    backwards: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Return all but the image as JSON values."""
        names = [field.name for field in dataclasses.fields(self) if field.name != "image"]
        return {name: getattr(self, name) for name in names}


@dataclasses.dataclass(frozen=True)
class AttackTrial:
    """One attack on one image.

    Attributes:
        name: under which the attack was asked for.
        norm: the distance that it makes small.
        options: its options, as JSON values.
        measured: what it did; None if it broke down.
        error: why it broke down; None if it ran.
    """

    name: str
    norm: str
    options: Mapping[str, Any]
    measured: Measured | None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return all but the image as JSON values."""
        return {
            "name": self.name,
            "norm": self.norm,
            "options": dict(self.options),
            **({} if self.measured is None else self.measured.to_json()),
            "error": self.error,
        }


@dataclasses.dataclass(frozen=True)
class ImageTrial:
    """Several attacks on one image.

    Attributes:
        image: the original, float32 [channels, height, width] in [0, 1].
        label: its true class.
        prediction: its class before any attack.
        seed: of the attacks that draw at random.
        storable: whether images were asked for that stay adversarial in 8 bits a value.
        trials: the attacks in order; none if the original is misclassified already.
        target: the class that it was to be taken for; None: any but its own.
    """

    image: Tensor
    label: int
    prediction: int
    seed: int
    storable: bool
    trials: tuple[AttackTrial, ...]
    target: int | None = None

    @property
    def already_misclassified(self) -> bool:
        """Whether the original is wrong before any attack."""
        return self.prediction != self.label

    @property
    def ran(self) -> dict[str, Measured]:
        """What the attacks that did not break down did, by name."""
        return {one.name: one.measured for one in self.trials if one.measured is not None}

    @property
    def failures(self) -> dict[str, str]:
        """Why attacks broke down, by name."""
        return {one.name: one.error for one in self.trials if one.error is not None}

    def to_json(self) -> dict[str, Any]:
        """Return all but the images as JSON values."""
        return {
            "label": self.label,
            "target": self.target,
            "prediction": self.prediction,
            "already_misclassified": self.already_misclassified,
            "seed": self.seed,
            "storable": self.storable,
            "attacks": [one.to_json() for one in self.trials],
        }

    def picture(self, title: str) -> Figure:
        """Draw the original beside what the attack returned; of several attacks, one grid.

        Raises:
            InputError: no attack ran.
        """
        ran = self.ran
        if not ran:
            raise InputError("no attack ran; there is nothing to draw")
        if len(ran) == 1:
            ((name, measured),) = ran.items()
            return comparison(
                self.image,
                measured.image,
                label=self.label,
                original_prediction=self.prediction,
                adversarial_prediction=measured.prediction,
                title=f"{name if measured.success else f'{name} failed'}, {title}",
            )
        return attack_grid(
            self.image,
            torch.stack([measured.image for measured in ran.values()]),
            list(ran),
            label=self.label,
            predictions=torch.tensor([measured.prediction for measured in ran.values()]),
            title=title,
        )


def try_attacks(
    model: nn.Module,
    attacks: Mapping[str, Attack],
    image: Tensor,
    label: int,
    *,
    target: int | None = None,
    seed: int = 0,
    storable: bool = False,
) -> ImageTrial:
    """Attack one image, unless the model gets it wrong already.

    Args:
        model: maps images to logits [count, classes].
        attacks: by name.
        image: floating [channels, height, width] in [0, 1].
        label: its true class.
        target: the class that it is to be taken for, another one; None: any but its own.
        seed: of the attacks that draw at random.
        storable: ask for images that stay adversarial in 8 bits a value.

    Raises:
        InputError: a malformed image, or a model that does not take it. An attack that breaks down
            has its error in its trial.
    """
    prediction = int(predict(model, image[None]))
    if prediction != label:
        return ImageTrial(image, label, prediction, seed, storable, (), target)
    given = {"model": model, "image": image, "label": label, "target": target}
    given |= {"seed": seed, "storable": storable}
    tasks: list[Task] = [(_measure, {"attack": one, **given}) for one in attacks.values()]
    trials = []
    with progress_bar("attacking", len(tasks)) as advance:
        for (name, one), (_, result) in zip(attacks.items(), run_tasks(tasks), strict=True):
            broke = isinstance(result, Failure)
            measured, error = (None, str(result)) if broke else (result, None)
            trials.append(AttackTrial(name, one.norm, one.options(), measured, error))
            advance()
    return ImageTrial(image, label, prediction, seed, storable, tuple(trials), target)


def try_program(
    program: nn.Module, image: Tensor, label: int, norm: float | str, *, seed: int = 0
) -> ImageTrial:
    """Attack one image by all that is known against a vote, unless the vote has it wrong already.

    The trials are named after the two ways to fall, "no right verdict" and, where the vote may
    abstain, "wrong verdict"; their options say the norm and which method found the image. Both are
    looked for at once: passes and seconds are those of both together.

    Args:
        program: a :class:`nversion.Program`.
        image: floating [channels, height, width] in [0, 1].
        label: its true class.
        norm: 2 or infinity.
        seed: of the methods that draw at random.

    Raises:
        InputError: a malformed image, another norm, or a program that does not take the image.
    """
    original, labels = image[None], torch.tensor([label], device=image.device)
    started = time.perf_counter()
    found = attack_program(program, original, labels, norm, seed=seed)
    seconds = time.perf_counter() - started
    if bool(found.already_misclassified):
        return ImageTrial(image, label, int(found.predictions), seed, False, ())
    kind = norm_name(norm)
    ways = {"no right verdict" if found.wrong else "wrong verdict": found}
    if found.wrong:
        ways["wrong verdict"] = found.wrong
    trials = [
        AttackTrial(
            name, kind, {"norm": kind, "found_by": one.attack[0]}, _measured(one, original, seconds)
        )
        for name, one in ways.items()
    ]
    return ImageTrial(image, label, label, seed, False, tuple(trials))


def _measure(
    model: nn.Module,
    attack: Attack,
    image: Tensor,
    label: int,
    *,
    target: int | None,
    seed: int,
    storable: bool,
) -> Measured:
    original, labels = image[None], torch.tensor([label], device=image.device)
    aim = None if target is None else torch.tensor([target], device=image.device)
    started = time.perf_counter()
    result = attack(model, original, labels, target=aim, seed=seed, storable=storable)
    return _measured(result, original, time.perf_counter() - started)


def _measured(result: AttackResult, original: Tensor, seconds: float) -> Measured:
    """Return what a result says of its one image."""
    success = bool(result.success)

    def known(value: Tensor) -> float | None:
        return float(value) if success else None

    return Measured(
        image=result.images[0],
        success=success,
        prediction=int(result.predictions),
        l0=known(result.l0),
        l1=known(result.l1),
        l2=known(result.l2),
        linf=known(result.linf),
        ssim=known(structural_similarity(result.images, original)),
        forwards=result.forwards,
        backwards=result.backwards,
        seconds=seconds,
    )
