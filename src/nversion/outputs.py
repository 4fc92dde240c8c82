"""What a model gives: the shape that is asked of it, and logits from models of probabilities.

A model gives logits ``[count, classes]``; log-probabilities are logits too, but probabilities are
not: a softmax on top of them flattens all. :func:`as_logits` makes a model of logits out of a model
of probabilities. Where the last step is a softmax, what went into it is returned, exactly;
elsewhere the logarithm, which is right up to one number per image but loses what has rounded to
0 or 1. :mod:`nversion.recognition` tells which models need it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from nversion.errors import InputError, NVersionError

__all__ = [
    "AsLogits",
    "LastSoftmax",
    "Outputs",
    "as_logits",
    "asked",
    "check_outputs",
    "distributions",
    "kind_of",
    "logits_of",
]

Outputs = Literal["logits", "log-probabilities", "probabilities"]

KINDS: tuple[Outputs, ...] = ("logits", "log-probabilities", "probabilities")

SUM_TOLERANCE = 1e-4
"""By how much the sum of a row of probabilities may differ from 1, in float32."""


@contextlib.contextmanager
def asked(name: str, shape: tuple[int, ...]) -> Iterator[None]:
    """Give errors of the model called `name`, while asked about images [count, *shape], that name.

    Raises:
        InputError: the model raised an error of PyTorch's, as where images have the wrong size.
    """
    try:
        yield
    except (NVersionError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{name} fails on images of {list(shape)}, [channels, height, width]; is it made for "
            f"others? PyTorch says: {reason}"
        ) from error


def check_outputs(outputs: object, count: int, name: str = "the model") -> Tensor:
    """Return `outputs` if they are logits [count, classes] of two classes or more.

    Args:
        outputs: what a model gave.
        count: for how many images.
        name: of the model, for messages.

    Raises:
        InputError: it is no tensor, or one of another shape or type.
    """
    wanted = f"{name} must map images to logits [count, classes], but gave"
    if isinstance(outputs, Mapping):
        keys = ", ".join(map(str, outputs))
        raise InputError(f"{wanted} a {type(outputs).__name__} ({keys}); wrap it to return one")
    if not isinstance(outputs, Tensor):
        size = f" of {len(outputs)}" if isinstance(outputs, tuple | list) else ""
        kind = f"{type(outputs).__name__}{size} for {count} images"
        raise InputError(f"{wanted} a {kind}; wrap it to return one tensor")
    shape = list(outputs.shape)
    if shape in ([count], [count, 1]) and outputs.is_floating_point():
        raise InputError(
            f"{wanted} one number for each of {count} images, {shape}; for two classes give two "
            "logits: with one logit z of the second class, torch.cat([0 * z, z], dim=1)"
        )
    if outputs.ndim != 2 or len(outputs) != count:
        raise InputError(f"{wanted} {shape} for {count} images")
    if not outputs.is_floating_point():
        raise InputError(f"{wanted} {outputs.dtype}")
    return outputs


def kind_of(outputs: Tensor) -> Outputs:
    """Return what the rows, floating [count, classes], look like: all of them, or logits.

    Rows of zeros and ones alone are decisions, which may have been made in any way: logits.
    """
    tolerance = _tolerance(outputs)
    if distributions(outputs, tolerance):
        decisions = bool(((outputs == 0.0) | (outputs == 1.0)).all())
        return "logits" if decisions else "probabilities"
    if bool((outputs <= 0.0).all()) and distributions(outputs.double().exp(), tolerance):
        return "log-probabilities"
    return "logits"


def distributions(outputs: Tensor, tolerance: float | None = None) -> bool:
    """Return whether all rows, floating [count, classes], at least one, are distributions.

    Args:
        outputs: what a model gave.
        tolerance: by how much a row's sum may differ from 1; by default, by their rounding.
    """
    if outputs.numel() == 0 or not bool((outputs >= 0.0).all()):
        return False
    off = (outputs.detach().sum(dim=1, dtype=torch.float64) - 1.0).abs()
    return bool((off <= (_tolerance(outputs) if tolerance is None else tolerance)).all())


def _tolerance(outputs: Tensor) -> float:
    return max(SUM_TOLERANCE, 4.0 * torch.finfo(outputs.dtype).eps)


class LastSoftmax(TorchFunctionMode):
    """Within it, what the last softmax over classes took and gave is put down."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: tuple[Tensor, Tensor, int, int] | None = None

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        options = kwargs or {}
        result = func(*args, **options)
        if getattr(func, "__name__", "").strip("_") in ("softmax", "special_softmax"):
            values = args[0] if args else options.get("input")
            dim = args[1] if len(args) > 1 else options.get("dim")
            if isinstance(values, Tensor) and values.ndim == 2 and dim in (None, 1, -1):
                self._seen = values, result, _changes(values), _changes(result)
        return result

    def before(self, outputs: Tensor) -> Tensor | None:
        """Return the softmax's logits if `outputs` are what it gave, unchanged; else None."""
        if self._seen is None:
            return None
        values, result, *made = self._seen
        same = outputs is result and [_changes(values), _changes(result)] == made
        return values if same else None


def _changes(tensor: Tensor) -> int:
    """Return how often a tensor has been changed in place (not known of those of inference)."""
    return 0 if tensor.is_inference() else tensor._version


def logits_of(probabilities: Tensor) -> Tensor:
    """Return the logarithm of probabilities [count, classes], finite, in float32 at least.

    Raises:
        InputError: some are negative.
    """
    wide = torch.promote_types(probabilities.dtype, torch.float32)
    if bool((probabilities < 0).any()):
        raise InputError(
            "a model was declared by as_logits to give probabilities, but gives negative numbers; "
            'if they are logits, say as_logits(model, outputs="logits")'
        )
    return probabilities.to(wide).clamp(min=torch.finfo(torch.float32).tiny).log()


@final
class AsLogits(nn.Module):
    """A model with its outputs declared, which gives logits; made by :func:`as_logits`.

    Attributes:
        model: the model itself.
        outputs: what it gives.
    """

    def __init__(self, model: nn.Module, outputs: Outputs) -> None:
        super().__init__()
        self.model = model
        self.outputs = outputs
        self.training = model.training

    def forward(self, images: Tensor) -> Any:
        """Return logits [count, classes]."""
        if self.outputs != "probabilities":
            return self.model(images)
        if isinstance(images, fx.Proxy):
            # Traced: the step is put down, and the certification leaves it out with the softmax.
            outputs = self.model(images)
            return images.tracer.create_proxy("call_function", logits_of, (outputs,), {})
        with LastSoftmax() as last:
            outputs = self.model(images)
        outputs = check_outputs(outputs, len(images))
        logits = last.before(outputs)
        return logits_of(outputs) if logits is None else logits


def as_logits(model: nn.Module, outputs: Outputs = "probabilities") -> nn.Module:
    """Return `model` as a model of logits, with what it gives declared.

    Args:
        model: maps images to [count, classes].
        outputs: "probabilities": a softmax at its end is left out, or else the logarithm taken.
            "logits" and "log-probabilities": it is used as it is, whatever its outputs look like.

    Raises:
        InputError: `model` is no module, or there are no such outputs.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if outputs not in KINDS:
        raise InputError(f"outputs must be one of {', '.join(KINDS)}, not {outputs!r}")
    return AsLogits(model, outputs)
