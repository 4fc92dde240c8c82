"""What a model gives: the shape that is asked of it, and logits from models of probabilities.

A model gives logits ``[count, classes]``; log-probabilities are logits too, but probabilities are
not: a softmax on top of them flattens all. :func:`as_logits` makes a model of logits out of a model
of probabilities. Where the last step is a softmax, what went into it is returned, exactly;
elsewhere the logarithm, which is right up to one number per image but loses what has rounded to
0 or 1. Of one number for each image it makes two logits, and of several outputs (a dict, a tuple, a
dataclass) it takes one. :mod:`nversion.recognition` tells which models need it.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, final

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from nversion.arguments import typed
from nversion.errors import InputError, NVersionError
from nversion.naming import did_you_mean

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
    "one_number",
    "pick",
]

Outputs = Literal["logits", "log-probabilities", "probabilities", "logit"]

KINDS: tuple[Outputs, ...] = ("logits", "log-probabilities", "probabilities", "logit")

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


def pick(outputs: object, key: str | None = None, name: str = "the model") -> object:
    """Return the output that is meant, of a model that gives several.

    Args:
        outputs: a tensor, which is returned as it is; or a mapping, a dataclass or a sequence.
        key: the name, or the place in a sequence; if None, the one that is called "logits", else
            the only floating tensor there is.
        name: of the model, for messages.

    Raises:
        InputError: there is none of that name, or it cannot be told which is meant.
    """
    parts = _parts(outputs)
    if not parts:
        return outputs
    shown = ", ".join(parts)
    kind = type(outputs).__name__
    if key is not None:
        if key not in parts:
            raise InputError(f"{name} gives no output {key!r}, but a {kind} of {shown}")
        return parts[key]
    tensors = {k: v for k, v in parts.items() if not isinstance(v, Tensor) or _floating(v)}
    known = parts.get("logits")
    if known is not None:
        return known
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    raise InputError(
        f"{name} must map images to logits [count, classes], but gave a {kind} of {shown}; say "
        f'which is meant: nversion.as_logits(model, outputs="logits", key={next(iter(parts))!r})'
    )


def _parts(outputs: object) -> dict[str, Any]:
    """Return the outputs that a model gave by name or place; nothing if it gave one tensor."""
    if isinstance(outputs, Mapping):
        return {str(key): value for key, value in outputs.items()}
    if dataclasses.is_dataclass(outputs) and not isinstance(outputs, type):
        names = [field.name for field in dataclasses.fields(outputs)]
        values = {name: getattr(outputs, name) for name in names}
        return {name: value for name, value in values.items() if value is not None}
    if isinstance(outputs, tuple) and hasattr(outputs, "_fields"):
        return dict(zip(outputs._fields, outputs, strict=True))
    if isinstance(outputs, tuple | list):
        return {str(place): value for place, value in enumerate(outputs)}
    return {}


def _floating(value: Tensor) -> bool:
    return value.is_floating_point() and value.ndim >= 1


def check_outputs(outputs: object, count: int, name: str = "the model") -> Tensor:
    """Return what a model gave as logits [count, classes] of two classes or more.

    Of several outputs the one is taken that :func:`pick` finds; [count, classes, 1, 1] becomes
    [count, classes].

    Args:
        outputs: what a model gave.
        count: for how many images.
        name: of the model, for messages.

    Raises:
        InputError: it is no tensor, or one of another shape or type.
    """
    wanted = f"{name} must map images to logits [count, classes], but gave"
    outputs = pick(outputs, name=name)
    if not isinstance(outputs, Tensor):
        raise InputError(
            f"{wanted} a {type(outputs).__name__} for {count} images; wrap it to return one tensor"
        )
    shape = list(outputs.shape)
    if one_number(outputs, count):
        raise InputError(
            f"{wanted} one number for each of {count} images, {shape}; if it is the logit of the "
            'second of two classes, say so: nversion.as_logits(model, outputs="logit"); if it is '
            'its probability: nversion.as_logits(model, outputs="probabilities")'
        )
    if outputs.ndim > 2 and len(outputs) == count and set(shape[2:]) == {1}:
        outputs = outputs.flatten(1)
    if outputs.ndim != 2 or len(outputs) != count:
        raise InputError(f"{wanted} {shape} for {count} images{_few(shape, count)}")
    if not outputs.is_floating_point():
        raise InputError(f"{wanted} {outputs.dtype}")
    return outputs


def _few(shape: list[int], count: int) -> str:
    if len(shape) == 2 and 0 < shape[0] < count:
        return "; does it take batches of a fixed size only?"
    return ""


def one_number(outputs: Tensor, count: int) -> bool:
    """Return whether there is one floating number for each of `count` images."""
    return (
        outputs.is_floating_point()
        and outputs.ndim >= 1
        and len(outputs) == count
        and outputs.numel() == count
    )


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
        key: which of its outputs is meant, if it gives several.
    """

    def __init__(self, model: nn.Module, outputs: Outputs, key: str | None = None) -> None:
        super().__init__()
        self.model = model
        self.outputs = outputs
        self.key = key
        if outputs == "logit":
            self.two = _two_logits(model)
        self.training = model.training

    def forward(self, images: Tensor) -> Any:
        """Return logits [count, classes]."""
        if isinstance(images, fx.Proxy):
            return self._traced(images)
        if self.outputs == "probabilities":
            with LastSoftmax() as last:
                outputs = pick(self.model(images), self.key)
            if isinstance(outputs, Tensor) and one_number(outputs, len(images)):
                second = outputs.reshape(-1, 1)
                return logits_of(torch.cat([1.0 - second, second], dim=1))
            outputs = check_outputs(outputs, len(images))
            logits = last.before(outputs)
            return logits_of(outputs) if logits is None else logits
        outputs = pick(self.model(images), self.key)
        if self.outputs == "logit" and isinstance(outputs, Tensor):
            if not one_number(outputs, len(images)):
                raise InputError(
                    "a model was declared by as_logits to give one logit for each image, but gave "
                    f"{list(outputs.shape)} for {len(images)}"
                )
            return self.two(outputs.reshape(-1, 1))
        if isinstance(outputs, Tensor) and outputs.ndim > 2 and set(outputs.shape[2:]) == {1}:
            return outputs.flatten(1)
        return outputs

    def _traced(self, images: fx.Proxy) -> Any:
        """Put down the steps; of a softmax, that the certification leaves it out."""
        outputs: Any = pick(self.model(images), self.key)
        if isinstance(outputs, fx.Proxy) and self.outputs != "probabilities":
            outputs = outputs.flatten(1)  # of logits [count, classes] it changes nothing
        if self.outputs == "logit":
            return self.two(outputs)
        if self.outputs != "probabilities":
            return outputs
        return images.tracer.create_proxy("call_function", logits_of, (outputs,), {})


def _two_logits(model: nn.Module) -> nn.Linear:
    """Return the layer that makes the logits [0, z] of one logit z, exactly."""
    like = next((one for one in model.parameters() if one.is_floating_point()), torch.zeros(0))
    layer = nn.Linear(1, 2, bias=False, device=like.device, dtype=like.dtype)
    layer.weight = nn.Parameter(torch.tensor([[0.0], [1.0]]).to(like), requires_grad=False)
    return layer


@typed
def as_logits(
    model: nn.Module, outputs: Outputs = "probabilities", key: str | None = None
) -> nn.Module:
    """Return `model` as a model of logits, with what it gives declared.

    Args:
        model: maps images to [count, classes], or to several outputs.
        outputs: "probabilities": a softmax at its end is left out, or else the logarithm taken;
            one number for each image is the probability of the second of two classes. "logits" and
            "log-probabilities": it is used as it is, whatever its outputs look like. "logit": one
            number for each image, the logit of the second of two classes.
        key: which of several outputs is meant: a name, or the place in a sequence as text.

    Raises:
        InputError: `model` is no module, or there are no such outputs.
    """
    if not isinstance(model, nn.Module):
        raise InputError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if outputs not in KINDS:
        hint = did_you_mean(outputs, KINDS)
        raise InputError(f"outputs must be one of {', '.join(KINDS)}, not {outputs!r}{hint}")
    return AsLogits(model, outputs, key)
