"""Versions as :class:`nversion.selection.WhiteBox` wants them: their margins and gradients.

Of each version, the margins of the label over every class and the gradients of these by the image,
for the voter that means logits or the one that means softmax outputs. Gradients are needed only as
products of each other, so that a few images' are held at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.models import check_images, check_labels, device_of, dtype_of, frozen
from nversion.modes import ordinary
from nversion.outputs import asked, check_outputs
from nversion.progress import progress_bar
from nversion.selection import WhiteBox, gram

__all__ = ["margins_and_gradients", "white_box"]

CHUNK = 10
"""Images whose gradients of all versions are held at once."""


@ordinary()
def white_box(
    models: Sequence[nn.Module], images: Tensor, labels: Tensor, *, outputs: str = "logits"
) -> WhiteBox:
    """Return the criterion of selection against an attacker who knows the program.

    Args:
        models: the versions, images to logits [count, classes].
        images: floating [count, channels, height, width] in [0, 1]; a hundred or two are enough,
            of the training images.
        labels: int64 [count].
        outputs: what is averaged: "logits", or "probabilities" (where a version is sure, gradients
            of its softmax vanish, and so do the distances' meaning).

    Raises:
        InputError: malformed arguments.
    """
    if not models:
        raise InputError("there must be versions, one at least")
    check_images(images)
    check_labels(labels, len(images))
    if len(images) == 0:
        raise InputError("there must be images, one at least")
    margins, products = [], []
    with progress_bar("gradients", len(images)) as advance:
        for start in range(0, len(images), CHUNK):
            rows = slice(start, start + CHUNK)
            found = [
                margins_and_gradients(model, images[rows], labels[rows], outputs)
                for model in models
            ]
            margins.append(np.stack([one.numpy() for one, _ in found]))
            products.append(gram(np.stack([one.numpy() for _, one in found])))
            for _ in range(len(images[rows])):
                advance()
    return WhiteBox(np.concatenate(margins, axis=1), np.concatenate(products), labels)


def margins_and_gradients(
    model: nn.Module, images: Tensor, labels: Tensor, outputs: str = "logits"
) -> tuple[Tensor, Tensor]:
    """Return the margins of the label over each class, and their gradients by the image.

    Args:
        model: images to logits [count, classes].
        images: floating [count, channels, height, width].
        labels: int64 [count].
        outputs: "logits" or "probabilities".

    Returns:
        float32 [count, classes], and float32 [count, classes, channels, height, width]; 0 for the
        label itself.

    Raises:
        InputError: the model does not fit, or other outputs are asked for.
    """
    if outputs not in ("logits", "probabilities"):
        raise InputError(f"outputs must be 'logits' or 'probabilities', not {outputs!r}")
    with frozen(model), torch.enable_grad(), asked("the model", tuple(images.shape[1:])):
        points = images.detach().to(device=device_of(model), dtype=dtype_of(model))
        points.requires_grad_(True)
        given = check_outputs(model(points), len(points))
        check_labels(labels, len(points), given.shape[1])
        scores = given.softmax(dim=1) if outputs == "probabilities" else given
        own = scores.gather(1, labels.to(scores.device)[:, None])
        margins = own - scores
        gradients = [
            torch.autograd.grad(margins[:, one].sum(), points, retain_graph=True)[0]
            for one in range(margins.shape[1])
        ]
    return margins.detach().cpu().float(), torch.stack(gradients, dim=1).detach().cpu().float()
