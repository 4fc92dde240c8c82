"""What every attack shares: the call and the result.

An attack is a configured value (a frozen dataclass whose fields are its options); model, images
and labels arrive when it is called. A subclass only proposes images (:meth:`Attack.propose`).
:mod:`nversion.attacks.verification` then decides, by evaluating the model on exactly the images
that are returned, whether each is a success; where it is not, the original is returned.

With a target class for each image, success means that the prediction is the target. The images of
one target are attacked together, through an oracle that knows two classes alone: the target, and
all others (:meth:`nversion.attacks.oracle.Oracle.aimed`). A subclass whose method has no targeted
form says so by :attr:`Attack.targetable`.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, final

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle, against
from nversion.attacks.verification import Demand, settled
from nversion.errors import InputError
from nversion.extras import needed
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
    "result_of",
]

AT_ONCE = 512
"""How many images an attack treats at once, at the most: it keeps several copies of each."""


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """What an attack returned, image by image, on the device of the images it was given.

    Attributes:
        images: float32 [count, channels, height, width]; the original where it failed.
        success: bool [count]; the prediction on the returned image differs from the label (is the
            target, where there is one), and the original was classified correctly.
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

    def __repr__(self) -> str:
        return f"AttackResult({self.summary()})"

    def summary(self) -> str:
        """Return in a line how many images were tried, how many changed class, and how far."""
        wrong = int(self.already_misclassified.sum())
        tried, found = len(self.success) - wrong, int(self.success.sum())
        said = [f"{found:,} of {tried:,} images changed class"]
        if wrong:
            said.append(f"{wrong:,} already misclassified")
        if found:
            medians = (
                f"{name} {float(values[self.success].median()):.4g}"
                for name, values in (("L2", self.l2), ("Linf", self.linf))
            )
            said.append(f"median {', '.join(medians)}")
        return ", ".join(said)

    def to_pandas(self, class_names: Sequence[str] = ()) -> Any:
        """Return a table with a row for each image: what came of it, and how far it went.

        Args:
            class_names: what the classes are called; by default their numbers.

        Raises:
            MissingExtraError: pandas is not installed.
            InputError: a prediction has no name.
        """
        pandas = needed("pandas", "pandas", "AttackResult.to_pandas")
        predictions = self.predictions.tolist()
        if class_names and predictions and max(predictions) >= len(class_names):
            raise InputError(f"{len(class_names)} class names, but a prediction {max(predictions)}")
        named = [class_names[one] for one in predictions] if class_names else predictions
        columns = ("success", "already_misclassified")
        distances = ("l0", "l1", "l2", "linf")
        table = {name: getattr(self, name).cpu().numpy() for name in (*columns, *distances)}
        return pandas.DataFrame(
            {name: table[name] for name in columns}
            | {"prediction": named}
            | {name: table[name] for name in distances}
        )


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
    """An attack, configured by its dataclass fields.

    Class attributes:
        name: the name in the registry.
        norm: the distance the attack makes small: "l0", "l1", "l2" or "linf".
        paper: where it was published, in short; its module's docstring has the whole reference.
        targetable: whether its method can aim at a class of one's choice.
    """

    name: ClassVar[str]
    norm: ClassVar[str]
    paper: ClassVar[str] = ""
    targetable: ClassVar[bool] = True

    @abc.abstractmethod
    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return a candidate for each image, [count, ...]; the original where none was found.

        With targets the oracle gives two logits for each image and all `labels` are 0 (module
        docstring): the number of classes is what the oracle gives, here and now.

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
    @typed
    @ordinary()
    def __call__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        target: Tensor | None = None,
        seed: int = 0,
        storable: bool = False,
    ) -> AttackResult:
        """Attack `model` on `images`.

        Args:
            model: maps [count, channels, height, width] in [0, 1] to logits [count, classes]. It
                is attacked in evaluation mode without weight gradients, and handed back as it was.
            images: floating [count, channels, height, width] in [0, 1].
            labels: int64 [count], the true classes.
            target: int64 [count], the class that each image is to be taken for, another than its
                label; None: any but the label. An image that the model gets wrong to begin with is
                already misclassified here as well, whatever it is taken for.
            seed: for random attacks; one seed, image and label give one result in any batch.
            storable: whether the returned images must stay adversarial when they are stored in 8
                bits a value; they are moved by the smallest further step that makes them so.

        Raises:
            InputError: images, labels or targets are malformed, the model's output is not logits,
                or this attack takes no target.
            UnsupportedModuleError: the model's answers do not repeat: it draws at random in
                evaluation mode as well, or changes from call to call.

        Warns:
            OutputsWarning: the model gives probabilities; its logits are attacked.
        """
        check_images(images)
        check_labels(labels, images.shape[0])
        if target is not None:
            self._check_target(target, labels)
        with frozen(model):
            oracle = Oracle(model)
            originals = images.detach().to(device=oracle.device, dtype=torch.float32)
            originals = originals.contiguous()
            labels = labels.to(oracle.device)
            if len(originals) == 0:
                none = labels.bool()
                return result_of(originals, originals, none, none, labels, oracle, images.device)
            oracle, logits = _read(oracle, model, originals)
            check_labels(labels, len(originals), logits.shape[1])
            target = None if target is None else target.to(labels.device)
            if target is not None:
                check_labels(target, len(originals), logits.shape[1], "target")
            check_repeats(model, originals[:FEW], "an attack's success")
            correct = (logits.argmax(dim=1) == labels) & ~logits.isnan().any(dim=1)
            returned, success = originals.clone(), torch.zeros_like(correct)
            for aim, group in _groups(correct, target):
                given = originals[group], labels[group], logits[group]
                returned[group], success[group] = self._all_verified(
                    oracle, given, aim, seed, storable=storable
                )
            predictions = logits.argmax(dim=1)
            if bool(success.any()):
                predictions[success] = oracle.logits(returned[success]).argmax(dim=1)
                won = predictions != labels if target is None else predictions == target
                if not bool(won[success].all()):
                    raise changed(model, "an attack's success")
            return result_of(
                originals, returned, success, correct, predictions, oracle, images.device
            )

    def _check_target(self, target: Tensor, labels: Tensor) -> None:
        """Raise unless this attack takes a target and `target` is int64 [count], never the label.

        Raises:
            InputError: it is not so.
        """
        if not self.targetable:
            raise InputError(
                f"{self.name} takes no target: as it was published it looks for any other class"
            )
        check_labels(target, len(labels), name="target")
        own = (target.to(labels.device) == labels).nonzero().squeeze(1)
        if len(own) > 0:
            raise InputError(
                f"target[{int(own[0])}] is {int(target[own[0]])}, the image's own label; "
                "a target is another class"
            )

    def _all_verified(
        self,
        oracle: Oracle,
        given: tuple[Tensor, Tensor, Tensor],
        aim: int | None,
        seed: int,
        *,
        storable: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return what the attack makes of correct images towards one target, or none; what holds.

        Args:
            oracle: the attacked model.
            given: the originals, their labels and the model's logits of them.
            aim: the target; None: any class but the label.
            seed: for random attacks.
            storable: whether 8-bit copies must hold as well.
        """
        originals, labels, logits = given
        if aim is not None:
            oracle, logits = oracle.aimed(aim), against(logits, aim)
            labels = torch.zeros_like(labels)
        demand = Demand.of(logits, labels, oracle.dtype, storable=storable)
        pieces = [
            self._verified(oracle, originals[rows], demand.rows(rows), seed)
            for rows in torch.split(torch.arange(len(labels), device=labels.device), AT_ONCE)
        ]
        returned, success = zip(*pieces, strict=True)
        return torch.cat(returned), torch.cat(success)

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


def _read(oracle: Oracle, model: nn.Module, originals: Tensor) -> tuple[Oracle, Tensor]:
    """Return an oracle that gives logits, and those of the originals, whatever the model gives."""
    try:
        logits = oracle.logits(originals)
        odd = distributions(logits) or bool(logits.isnan().any(dim=1).all())
    except InputError:  # one number for each image, or nothing that can be read
        odd = True
    if odd:
        oracle = Oracle(reader(model, tuple(originals.shape[1:])).eval())
        logits = oracle.logits(originals)
    return oracle, logits


def _groups(correct: Tensor, target: Tensor | None) -> list[tuple[int | None, Tensor]]:
    """Return the correct rows, int64, that are attacked together: one group for each target."""
    rows = correct.nonzero().squeeze(1)
    if len(rows) == 0:
        return []
    if target is None:
        return [(None, rows)]
    return [(aim, rows[target[rows] == aim]) for aim in sorted(set(target[rows].tolist()))]


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
