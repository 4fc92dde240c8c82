"""What nversion asks of a model, and how it evaluates one.

A model is any ``torch.nn.Module`` that maps images ``[count, channels, height, width]`` in [0, 1]
to logits (or log-probabilities) ``[count, classes]``. This module checks images and labels, lends
a model out in evaluation mode (:func:`frozen`), and evaluates it so that the result for one image
does not depend on the images beside it (:func:`evaluate`; see :mod:`nversion.batches`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nversion.batches import BATCH_SIZE, device_of, dtype_of, layout_of
from nversion.errors import InputError
from nversion.modes import ordinary
from nversion.outputs import asked, check_outputs

__all__ = [
    "BATCH_SIZE",
    "check_images",
    "check_labels",
    "device_of",
    "dtype_of",
    "evaluate",
    "evaluating",
    "frozen",
    "predict",
]


def check_images(images: Tensor, name: str = "images") -> None:
    """Raise unless `images` is a floating tensor [count, channels, height, width] in [0, 1].

    Raises:
        InputError: wrong type, rank or dtype, NaN, or values outside [0, 1].
    """
    if not isinstance(images, Tensor):
        raise InputError(f"{name} must be a torch.Tensor, not {type(images).__name__}")
    if images.ndim != 4:
        raise InputError(
            f"{name} must have the shape [count, channels, height, width], not {list(images.shape)}"
        )
    if not images.is_floating_point():
        raise InputError(
            f"{name} must be floating point in [0, 1], not {images.dtype}; "
            "divide 8-bit images by 255 first"
        )
    if images.numel() == 0:
        return
    if bool(images.isnan().any()):
        raise InputError(f"{name} hold NaN")
    low, high = float(images.detach().min()), float(images.detach().max())
    if low < 0.0 or high > 1.0:
        raise InputError(
            f"{name} must lie in [0, 1], but range from {low:g} to {high:g}; undo any "
            "normalisation (put it into the model) and divide 8-bit images by 255"
        )


def check_labels(
    labels: Tensor, count: int, classes: int | None = None, name: str = "labels"
) -> None:
    """Raise unless `labels` is an int64 tensor [count] with values in [0, classes).

    Args:
        labels: what is checked.
        count: images.
        classes: None where they are not known yet.
        name: what the labels are called in the message.

    Raises:
        InputError: wrong type, shape, dtype or values.
    """
    if not isinstance(labels, Tensor):
        raise InputError(f"{name} must be a torch.Tensor, not {type(labels).__name__}")
    if labels.dtype != torch.int64:
        raise InputError(f"{name} must be int64, not {labels.dtype}")
    if labels.shape != (count,):
        raise InputError(
            f"{name} must have the shape [{count}], one per image, not {list(labels.shape)}"
        )
    if count and (int(labels.min()) < 0 or (classes and int(labels.max()) >= classes)):
        upper = f" and below {classes}" if classes else ""
        raise InputError(
            f"{name} must be at least 0{upper}, but range from {int(labels.min())} "
            f"to {int(labels.max())}"
        )


@contextlib.contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """Lend `model` out in evaluation mode and without weight gradients; hand it back as it came.

    Raises:
        InputError: its weights are bound to PyTorch's inference mode.
    """
    if any(weights.is_inference() for weights in model.parameters()):
        raise InputError(
            "the model's weights were made within torch.inference_mode, so that it has no "
            "gradients; build it, or load them, outside"
        )
    gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    with evaluating(model):
        try:
            for parameter, _ in gradients:
                parameter.requires_grad_(False)
            yield model
        finally:
            for parameter, wanted in gradients:
                parameter.requires_grad_(wanted)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` in evaluation mode for the time of the block, and its modules back as they were.

    Its weights are left alone, as PyTorch's function transforms want it.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def evaluate(
    model: nn.Module, images: Tensor, batch_size: int = BATCH_SIZE, name: str = "the model"
) -> Tensor:
    """Return the model's logits, float32 [count, classes] on the images' device, no gradient.

    The model is used in the mode it is in; wrap the call in :func:`frozen` for evaluation mode.

    Args:
        model: maps [count, channels, height, width] to [count, classes].
        images: floating [count, channels, height, width]; cast to the model's dtype and device.
        batch_size: images a batch, at the most; rounded up as the model's layout wants it.
        name: of the model, for messages.

    Raises:
        InputError: there are no images, the model fails on such images, or its output is not
            [count, classes].
    """
    if images.shape[0] == 0:
        raise InputError("there are no images to evaluate the model on")
    dtype, device = dtype_of(model), device_of(model)
    pieces = []
    with torch.no_grad(), asked(name, tuple(images.shape[1:])):
        layout = layout_of(model, images.shape[1:])
        for rows, wanted in layout.chunks(images.shape[0], batch_size):
            batch = images[rows.to(images.device)].to(device=device, dtype=dtype).contiguous()
            outputs = check_outputs(layout.call(model, batch), len(rows), name)
            pieces.append(outputs[:wanted].to(device=images.device, dtype=torch.float32))
    return torch.cat(pieces)


@ordinary()
def predict(model: nn.Module, images: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
    """Return the predicted classes, int64 [count], of the model in evaluation mode."""
    with frozen(model):
        return evaluate(model, images, batch_size).argmax(dim=1)
