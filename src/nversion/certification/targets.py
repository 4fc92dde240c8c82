"""Which classes must stay below an image's label: all others, or one that is given or drawn."""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.problem import Rivals
from nversion.errors import InputError
from nversion.models import check_labels
from nversion.randomness import generator

__all__ = ["Target", "random_targets", "rivals_of"]

Target = str | Tensor | None
"""None: all other classes. An int64 tensor [count]: that class. "random": one that is drawn."""


def rivals_of(logits: Tensor, labels: Tensor, target: Target, seed: int) -> Rivals:
    """Return the labels with the classes that must stay below.

    Args:
        logits: floating [count, classes].
        labels: int64 [count].
        target: which classes.
        seed: for the random targets.

    Raises:
        InputError: there is no such target.
    """
    count, classes = logits.shape
    if target is None:
        return Rivals.all(labels, classes)
    if isinstance(target, str):
        if target != "random":
            raise InputError(f'target must be None, "random" or a tensor, not {target!r}')
        target = random_targets(logits, labels, seed)
    check_labels(target, count, classes)
    target = target.to(logits.device)
    if bool((target == labels).any()):
        raise InputError("target must differ from the label for every image")
    return Rivals(labels, target[:, None])


def random_targets(logits: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Draw the classes, int64 [count], that ``target="random"`` stands for.

    Args:
        logits: floating [count, classes].
        labels: int64 [count].
        seed: the draw for an image depends on it and on the image's place.

    Raises:
        InputError: there are fewer than 4 classes.
    """
    if logits.shape[1] < 4:
        raise InputError('target="random" needs at least 4 classes')
    order = logits.scatter(1, labels[:, None], torch.inf).argsort(dim=1, descending=True)
    candidates = order[:, 2:-1]
    draws = [
        int(torch.randint(candidates.shape[1], (1,), generator=generator("target", seed, i)))
        for i in range(len(labels))
    ]
    chosen = torch.tensor(draws, dtype=torch.int64, device=logits.device)
    return candidates.gather(1, chosen[:, None]).squeeze(1)
