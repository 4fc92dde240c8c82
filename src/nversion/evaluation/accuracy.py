"""Accuracy: the share of images that a model, or a program's vote, gets right."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from nversion.errors import InputError
from nversion.models import BATCH_SIZE, check_images, check_labels, predict
from nversion.program import Program

__all__ = ["Labelled", "accuracy"]


class Labelled(Protocol):
    """Images with labels: a dataset's split, an adversarial set, a run of an attack."""

    @property
    def images(self) -> Tensor:
        """Floating [count, channels, height, width] in [0, 1]."""

    @property
    def labels(self) -> Tensor:
        """The true classes, int64 [count]."""


def accuracy(model: nn.Module, split: Labelled, batch_size: int = BATCH_SIZE) -> float:
    """Return the share of images, in [0, 1], whose predicted class is the label.

    A program is judged by its vote, so an abstention counts as wrong.

    Args:
        model: maps images to logits; used in evaluation mode and handed back as it came.
        split: images and labels.
        batch_size: images the model is given at once; the result does not depend on it.

    Raises:
        InputError: images or labels are malformed, or there are none.
    """
    images, labels = split.images, split.labels
    check_images(images)
    check_labels(labels, len(images))
    if len(images) == 0:
        raise InputError("there are no images to measure the accuracy on")
    if isinstance(model, Program):
        predictions = model.vote(images, batch_size).labels
    else:
        predictions = predict(model, images, batch_size)
    return int((predictions.cpu() == labels.cpu()).sum()) / len(labels)
