"""What is odd about a network from elsewhere, once there are labelled images to ask it about.

How it is fed was guessed or said, and may be wrong in ways that raise no error: a wrong range, a
forgotten normalisation, rows for columns, classes in another order. Then it is right no more often
than by chance, or would be far more often with another feed. Each doubt is one sentence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from nversion.models import evaluate, frozen
from nversion.outputs import AsLogits, kind_of, pick
from nversion.versions import Version

__all__ = ["IMAGES", "doubts_of"]

IMAGES = 500
"""So many labelled images are asked about, at the most."""

BETTER = 0.15
"""By so much another feed, or order of the classes, must be right more often to be named."""

FEW = 30
"""With fewer images nothing is said of how often it is right."""

MOSTLY = 0.5
"""Two classes are swapped where more of both than this are taken for the other."""

Change = Callable[[Tensor], Tensor]


def _by(mean: Sequence[float], std: Sequence[float]) -> Change:
    def change(images: Tensor) -> Tensor:
        shape = (1, -1, 1, 1)
        return (images - torch.tensor(mean).view(shape)) / torch.tensor(std).view(shape)

    return change


COLOURS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, which many networks are trained on."""

FEEDS: Mapping[str, Change] = MappingProxyType(
    {
        "range=0:255": lambda images: images * 255.0,
        "range=-1:1": lambda images: images * 2.0 - 1.0,
        "range=1:0": lambda images: 1.0 - images,
        "mean=0.1307,std=0.3081": _by((0.1307,), (0.3081,)),
    }
)
"""Other feeds that are usual, as ``--input`` has them."""


def doubts_of(
    version: Version, images: Tensor, labels: Tensor, names: Sequence[str] = ()
) -> list[str]:
    """Return what is odd about a version, a sentence each; nothing if nothing is.

    Args:
        version: as :func:`nversion.load_version` gives it.
        images: float32 [count, channels, height, width] in [0, 1]; the first :data:`IMAGES` count.
        labels: int64 [count].
        names: of the classes, for the sentences.
    """
    images, labels = images[:IMAGES], labels[:IMAGES]
    said = _outputs_doubt(version, images)
    with frozen(version.model):
        predictions = evaluate(version.model, images, name=version.name).argmax(dim=1)
    if len(labels) < FEW:
        return said
    asked = _Asked(version, images, labels, predictions)
    names = names or [str(n) for n in range(version.record.classes)]
    return [*said, *asked.of_chance(names), *asked.of_order(names), *asked.of_feed()]


def _outputs_doubt(version: Version, images: Tensor) -> list[str]:
    """Return whether outputs look like another kind than was said."""
    origin = version.record.origin
    kind = None if origin is None else origin.feed.get("outputs")
    model = version.model
    key = model.key if isinstance(model, AsLogits) else None
    inner = model.model if isinstance(model, AsLogits) else model
    if kind not in ("logits", "probabilities"):
        return []
    with torch.no_grad(), frozen(inner):
        like = next((one.dtype for one in inner.parameters()), torch.float32)
        outputs = pick(inner(images[:8].to(like)), key, version.name)
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or outputs.shape[1] < 2:
        return []
    found = kind_of(outputs)
    if kind == "logits" and found == "probabilities":
        return [
            f"{version.name} is said to give logits, but what it gives looks like probabilities; "
            "say outputs=probabilities with --input"
        ]
    if kind == "probabilities" and found != "probabilities":
        return [
            f"{version.name} is said to give probabilities, but what it gives does not sum to 1; "
            "say outputs=logits with --input"
        ]
    return []


@dataclasses.dataclass(frozen=True)
class _Asked:
    """A version, what it was asked about, and what it said."""

    version: Version
    images: Tensor
    labels: Tensor
    predictions: Tensor

    @property
    def right(self) -> float:
        return float((self.predictions == self.labels).double().mean())

    def of_chance(self, names: Sequence[str]) -> list[str]:
        """Return whether it is right no more often than by chance."""
        counts = torch.bincount(self.labels)
        chance = float(counts.max()) / len(self.labels)
        said = torch.unique(self.predictions)
        if len(said) == 1 and len(counts.nonzero()) > 1:
            name = names[int(said[0])]
            return [f"{self.version.name} answers {name} to all of {len(self.labels)} images"]
        if self.right > chance + 2.0 * (chance * (1.0 - chance) / len(self.labels)) ** 0.5:
            return []
        return [
            f"{self.version.name} is right on {self.right:.1%} of {len(self.labels)} images, where "
            f"naming the most frequent class gives {chance:.1%}: it may be fed wrongly (--input), "
            "or know other classes"
        ]

    def of_order(self, names: Sequence[str]) -> list[str]:
        """Return which classes seem to be permuted."""
        classes = max(self.version.record.classes, int(self.labels.max()) + 1)
        pairs = self.labels * classes + self.predictions
        confusion = torch.bincount(pairs, minlength=classes**2).view(classes, classes)
        rows, columns = linear_sum_assignment(-confusion.numpy())
        best = float(confusion[rows, columns].sum()) / len(self.labels)
        shares = confusion.double() / confusion.sum(dim=1, keepdim=True).clamp(min=1)
        moved = [
            (int(row), int(column))
            for row, column in zip(rows, columns, strict=True)
            if row != column and shares[row, column] > MOSTLY
        ]
        swapped = [
            (row, column) for row, column in moved if row < column and (column, row) in moved
        ]
        if not moved or (best - self.right < BETTER and len(swapped) * 2 != len(moved)):
            return []
        told = []
        for row, column in swapped:
            both = confusion[row, column] + confusion[column, row]
            share = float(both) / float(confusion[[row, column]].sum())
            told.append(f"{names[row]} and {names[column]} are swapped on {share:.0%} of them")
        others = [(r, c) for r, c in moved if (r, c) not in swapped and (c, r) not in swapped]
        told += [f"{names[r]} is taken for {names[c]} on {shares[r, c]:.0%}" for r, c in others[:4]]
        order = [names[row] for row in sorted(range(len(rows)), key=lambda row: columns[row])]
        order_text = ":".join(order) if len(order) <= 20 else "NAME:NAME:..."
        return [
            f"{self.version.name} seems to have its classes in another order: {', '.join(told)}; "
            f"with --input classes={order_text} it would be right on {best:.1%} instead of "
            f"{self.right:.1%}"
        ]

    def of_feed(self) -> list[str]:
        """Return with which other feed it would be right far more often."""
        origin = self.version.record.origin
        given = origin.feed if origin is not None else {}
        if any(given.get(key) for key in ("range", "mean", "std")):
            return []
        best, feed = self.right + BETTER, ""
        for text, change in self._feeds().items():
            right = self._right_after(change)
            if right > best:
                best, feed = right, text
        if not feed:
            return []
        return [
            f"{self.version.name} is right on {self.right:.1%} of {len(self.labels)} images, but "
            f"would be on {best:.1%} {feed}"
        ]

    def _feeds(self) -> dict[str, Change]:
        found = {f"with --input {text}": change for text, change in FEEDS.items()}
        _, channels, height, width = self.images.shape
        if channels == 3:
            found["with --input mean=0.485:0.456:0.406,std=0.229:0.224:0.225"] = _by(*COLOURS)
            found["with the colours in the order blue, green, red"] = lambda images: images.flip(1)
        if height == width:
            found["with rows and columns exchanged"] = lambda images: images.transpose(2, 3)
        return found

    def _right_after(self, change: Change) -> float:
        model = self.version.model
        with frozen(model):
            logits = evaluate(model, change(self.images).contiguous(), name=self.version.name)
        return float((logits.argmax(dim=1) == self.labels).double().mean())
