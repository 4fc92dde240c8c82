"""Whether a model gives the same answer when it is asked again.

What is found out about a model once, by an attack or a certificate, holds no longer than its
answers do. Models that draw random numbers when they are evaluated (a functional dropout without
``training=``, noise in a ``forward``) or that count their calls are told here by asking twice, and
refused. A draw that seldom matters, as of a dropout with a small rate, would mostly be missed so.
So the states of torch's generators are compared as well, each time that one is drawn from: if they
are the same in both calls, the model seeds them by itself, and its answers repeat.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from nversion.batches import device_of, dtype_of
from nversion.errors import UnsupportedModuleError

__all__ = ["FEW", "changed", "check_repeats"]

FEW = 4
"""So many images are enough to ask about."""

ROUNDING = 64.0
"""Of the dtype's unit of rounding and the largest logit: two evaluations may differ by so much, as
sums on some devices are added up in an order that changes. Random models are further off."""


def check_repeats(model: nn.Module, images: Tensor, found: str) -> None:
    """Raise unless `model` gives the same logits for the same images when it is asked again.

    Args:
        model: maps [count, channels, height, width] to [count, classes], and is in the mode in
            which it is to be used; what gives no logits is left to others to refuse.
        images: floating [count, channels, height, width]; a few will do.
        found: what would be wrong otherwise, for the message: "an attack's success", say.

    Raises:
        UnsupportedModuleError: the model draws at random, or changes from call to call.
    """
    batch = images.detach().to(device=device_of(model), dtype=dtype_of(model))
    with torch.no_grad():
        first, second = _asked(model, batch), _asked(model, batch)
    if not _same_draws(first.draws, second.draws):
        names = ", ".join(dict.fromkeys(name for name, _ in first.draws + second.draws))
        raise _unrepeated(model, f"draws at random in evaluation mode as well ({names})", found)
    if not _alike(first.logits, second.logits, batch.dtype):
        raise changed(model, found)


def changed(model: nn.Module, found: str) -> UnsupportedModuleError:
    """Return the error for a model that has given one image two classes."""
    return _unrepeated(model, "gives other logits for the same images when asked again", found)


def _unrepeated(model: nn.Module, what: str, found: str) -> UnsupportedModuleError:
    return UnsupportedModuleError(
        f"{type(model).__name__} {what}, so {found} would not hold for its next evaluation. Draw "
        "in training mode only (functional dropout needs training=self.training), or from a "
        "generator that is seeded in forward"
    )


_Draw = tuple[str, Tensor]
"""The name of a function that drew, and its generator's state before."""


@dataclasses.dataclass(frozen=True)
class _Answer:
    """What a model returned, and what was drawn on the way."""

    logits: Any
    draws: list[_Draw]


def _asked(model: nn.Module, batch: Tensor) -> _Answer:
    with _Draws() as draws:
        logits = model(batch)
    return _Answer(logits, draws.found)


class _Draws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Within it, each draw from one of torch's generators is put down."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[_Draw] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do without torch's compiler: to be told to pass over this, it would have to be imported.

        That takes most of a second, at the first attack in a process.
        """
        return False

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in getattr(func, "tags", ()):
            return func(*args, **kwargs)
        before = _state(args, kwargs)
        result = func(*args, **kwargs)
        # Some functions that may draw do so for some of their options only.
        if not torch.equal(before, _state(args, kwargs)):
            self.found.append((getattr(func, "__name__", "").split(".")[0], before))
        return result


def _state(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the state of the generator that a function called with these arguments draws from."""
    generator = kwargs.get("generator")
    if generator is None:
        devices = [value.device for value in args if isinstance(value, Tensor)]
        device = torch.device(kwargs.get("device") or (devices[0] if devices else "cpu"))
        if device.type == "cuda":
            return torch.cuda.get_rng_state(device)
        generator = torch.default_generator
    state: Tensor = generator.get_state()
    return state


def _same_draws(first: list[_Draw], second: list[_Draw]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(one, other) for (_, one), (_, other) in zip(first, second, strict=True)
    )


def _alike(first: Any, second: Any, dtype: torch.dtype) -> bool:
    """Return whether two answers are the same up to rounding, NaN included."""
    if not isinstance(first, Tensor) or not isinstance(second, Tensor):
        return True
    if first.shape != second.shape:
        return False
    if first.ndim != 2 or first.numel() == 0:
        return True
    unit = max(torch.finfo(kind).eps for kind in (dtype, first.dtype) if kind.is_floating_point)
    one, other = first.double(), second.double()
    largest = one.nan_to_num(0.0, 0.0, 0.0).abs().amax(dim=1, keepdim=True)
    close = (one - other).abs() <= ROUNDING * unit * largest
    return bool((close | (one == other) | (one.isnan() & other.isnan())).all())
