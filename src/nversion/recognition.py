"""Recognises what a model gives by asking it about a few irregular images.

Users hand over networks that end in a softmax, as most Keras examples do, where logits are wanted.
:func:`reader` finds out, says so once, and returns a model that gives logits; what was declared by
:func:`nversion.outputs.as_logits` is taken as it is, without a word.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import nn

from nversion.errors import InputError, OutputsWarning
from nversion.models import device_of, dtype_of, evaluating
from nversion.outputs import (
    AsLogits,
    LastSoftmax,
    Outputs,
    as_logits,
    asked,
    check_outputs,
    kind_of,
    one_number,
    pick,
)

__all__ = ["reader"]

PROBES = 8

GOLDEN = (5.0**0.5 - 1.0) / 2.0


def _probes(shape: tuple[int, ...]) -> torch.Tensor:
    """Return float32 [PROBES, *shape] in [0, 1]: the fractions of the golden ratio's multiples.

    They are spread like random ones, but PyTorch's function transforms allow no draws.
    """
    count = PROBES * math.prod(shape)
    spread = torch.arange(1, count + 1, dtype=torch.float64) * GOLDEN % 1.0
    return spread.float().clamp(max=1.0).view(PROBES, *shape)


def reader(model: nn.Module, shape: tuple[int, ...], name: str = "the model") -> nn.Module:
    """Return `model`, or, if it gives probabilities, a model of its logits, with a warning.

    Args:
        model: maps [count, *shape] in [0, 1] to [count, classes].
        shape: of an image, (channels, height, width).
        name: of the model, for messages.

    Raises:
        InputError: it fails on such images, gives something else than logits, or NaN on all.
    """
    if isinstance(model, AsLogits):
        return model
    images = _probes(shape).to(device=device_of(model), dtype=dtype_of(model))
    with (
        evaluating(model),
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
        asked(name, shape),
        LastSoftmax() as last,
    ):
        outputs = model(images)
    outputs = pick(given := outputs, name=name)
    if isinstance(outputs, torch.Tensor) and one_number(outputs, PROBES):
        return _of_one_number(model, outputs, name)
    # What is picked, or of another shape, is made so in the open, where certificates can follow.
    other = outputs is not given or (isinstance(outputs, torch.Tensor) and outputs.ndim > 2)
    outputs = check_outputs(outputs, PROBES, name)
    if bool(outputs.isnan().any(dim=1).all()):
        raise InputError(f"{name} gives NaN for every image; look for NaN among its weights")
    softmax = last.before(outputs) is not None
    if not softmax and kind_of(outputs) != "probabilities":
        return as_logits(model, "logits") if other else model
    how = (
        "the softmax at its end is left out"
        if softmax
        else "their logarithm is taken, in which what rounds to 0 or 1 is lost: better give the "
        "network up to its logits"
    )
    warnings.warn(
        f"{name} gives probabilities, not logits; {how}. Declare it by nversion.as_logits(model) "
        'and this is not said (or as_logits(model, outputs="logits") if they are logits)',
        OutputsWarning,
        stacklevel=2,
    )
    return as_logits(model)


def _of_one_number(model: nn.Module, outputs: torch.Tensor, name: str) -> nn.Module:
    """Return a model of one number for each image as one of two logits, with a warning."""
    inside = bool(((outputs >= 0.0) & (outputs <= 1.0)).all())
    kind: Outputs = "probabilities" if inside else "logit"
    what = "probability" if inside else "logit"
    warnings.warn(
        f"{name} gives one number for each image, taken for the {what} of the second of two "
        f'classes. Declare it by nversion.as_logits(model, outputs="{kind}") and this is not said',
        OutputsWarning,
        stacklevel=3,
    )
    return as_logits(model, kind)
