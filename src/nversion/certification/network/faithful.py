"""A traced network that is known to be the model: what every certificate starts from.

``torch.fx`` writes down the steps that a module's code takes, once. It does not see hooks and
replaced calls, freezes what the code draws, counts or decides on its way, and forgets the contexts
it runs in. A certificate of such a network says nothing of the model. So here

- what tracing cannot see is refused by name (:mod:`nversion.hooks`);
- the model is asked twice and, but for torch's own layers in a row, traced twice, and refused where
  the two differ (:mod:`nversion.repeats`), and where a call changes its parameters, buffers or
  numbers;
- the network's logits are compared with the model's own, on the images at hand and on random ones
  with the ends of the range among them.

Only margins between classes are compared (a log-softmax at the end is left out of the network; a
softmax of network and model alike, by :func:`nversion.outputs.as_logits`), and they may differ by
rounding: by a multiple of what evaluation in the model's own precision changes on the same steps,
and of the unit of rounding of the values on the way.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from nversion.certification.network.folding import fuse
from nversion.certification.network.graph import Network, Node
from nversion.certification.network.tracing import only_layers, trace_steps
from nversion.errors import UnsupportedModuleError
from nversion.hooks import additions
from nversion.models import BATCH_SIZE, device_of, dtype_of, frozen
from nversion.randomness import generator
from nversion.repeats import check_repeats

__all__ = ["faithful_network", "refuse_additions"]

DRAWN = 12
"""Random images that a network and its model are compared on, besides those at the ends."""

OBSERVED = 8.0
"""How many times the largest rounding that was observed two evaluations may differ by."""

UNITS = 4.0
"""And how many units of rounding of the largest value on the way."""

SMALLEST_UNIT = 2.0**-40
"""Weights are folded in float64, so a model in float64 differs by more than its unit."""


def faithful_network(
    model: nn.Module, shape: tuple[int, ...], images: Tensor | None = None
) -> Network:
    """Return `model` as a network of nodes that can be bounded, after comparing the two.

    Args:
        model: maps [count, *shape] to logits [count, classes]; taken in evaluation mode.
        shape: of one image, [channels, height, width].
        images: floating [count, *shape], those at hand; compared on as well as random ones.

    Raises:
        UnsupportedModuleError: the model holds what cannot be bounded or traced, or does not do
            what was traced; the message says what.
    """
    refuse_additions(model)
    device = device_of(model)
    devices = [device] if device.type == "cuda" else []
    with frozen(model), torch.random.fork_rng(devices=devices), torch.no_grad():
        steps = trace_steps(model, shape)
        probes = _probes(shape)
        check_repeats(model, torch.cat(probes), "a certificate")
        before = _state(model)
        if not only_layers(model):  # whose steps are the same each time
            with torch.enable_grad():  # which a forward may ask about, too
                _refuse_changes(steps, trace_steps(model, shape), model)
        network = fuse(steps)
        given = probes[0][:0] if images is None else images.detach()
        for batch in torch.split(given, BATCH_SIZE):
            # With random images beside them, few images are judged by more than their own rounding.
            _compare(model, steps, network, [*probes, batch])
        _refuse_changed_state(before, _state(model, copied=False), model)
    return network


def refuse_additions(model: nn.Module) -> None:
    """Raise if `model` does anything besides its classes' own ``forward``.

    Raises:
        UnsupportedModuleError: it does; the message names it.
    """
    for addition in additions(model):
        raise UnsupportedModuleError(
            f"tracing does not see {addition}, so the model cannot be certified: it may compute "
            "something else. Put it into the forward of a module (of a compiled or scripted "
            "model, certify the module that it was made from). Randomised smoothing certifies "
            "any model"
        )


def _probes(shape: tuple[int, ...]) -> list[Tensor]:
    """Return batches of random images, and of some that lie at the ends of the range."""
    drawn = torch.rand(DRAWN, *shape, generator=generator("faithful", str(tuple(shape))))
    return [drawn, torch.cat([drawn[:2].round(), torch.zeros(1, *shape), torch.ones(1, *shape)])]


# ---------------------------------------------------------------- twice the same


def _refuse_changes(first: Network, second: Network, model: nn.Module) -> None:
    same = len(first.nodes) == len(second.nodes)
    for one, other in zip(first.nodes, second.nodes, strict=False):
        same = same and _equal_nodes(one, other)
    if not same:
        raise UnsupportedModuleError(
            f"{type(model).__name__} takes other steps each time that it is traced (it draws "
            "numbers or counts its calls), so no certificate would hold"
        )


def _equal_nodes(one: Node, other: Node) -> bool:
    if type(one) is not type(other):
        return False
    pairs = [(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)]
    return all(
        _equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
        for a, b in pairs
    )


def _equal(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors hold the same values, NaN included."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if torch.equal(one, other):
        return True
    return bool(((one == other) | ((one != one) & (other != other))).all())


_State = dict[tuple[str, int], Any]
"""By name, and by identity where another object in its place is no change: tensors, each with what
it holds, and plain values."""


def _state(model: nn.Module, *, copied: bool = True) -> _State:
    """Return what a model may hold from call to call: tensors, numbers, and lists of numbers."""
    state: _State = {}

    def held(tensor: Tensor) -> tuple[Tensor, Tensor]:
        values = tensor.detach()
        return tensor, values.clone() if copied else values

    for name, tensor in itertools.chain(model.named_parameters(), model.named_buffers()):
        state[name, 0] = held(tensor)
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            where = f"{name}.{key}".lstrip(".")
            if isinstance(value, Tensor):  # what a forward keeps of its last call is not read again
                state[where, id(value)] = held(value)
            elif isinstance(value, list | dict) and all(map(_is_plain, _items(value))):
                state[where, 0] = repr(value)
            elif _is_plain(value):
                state[where, 0] = value
    return state


def _items(values: list[Any] | dict[Any, Any]) -> Iterable[Any]:
    return values.values() if isinstance(values, dict) else values


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str)


def _refuse_changed_state(before: _State, after: _State, model: nn.Module) -> None:
    for where in before.keys() & after.keys():
        one, other = before[where], after[where]
        tensors = isinstance(one, tuple) and isinstance(other, tuple)
        if not (_equal(one[1], other[1]) if tensors else repr(one) == repr(other)):
            raise UnsupportedModuleError(
                f"{type(model).__name__} changes '{where[0]}' when it is evaluated, so it need not "
                "be the same for the next image, and no certificate would hold"
            )


# ---------------------------------------------------------------- the same as the model


def _compare(model: nn.Module, steps: Network, network: Network, batches: list[Tensor]) -> None:
    """Raise unless the network gives the model's margins on these images, up to rounding.

    The model is given each batch by itself, so that a decision it takes by a batch shows.
    """
    device, dtype = device_of(model), dtype_of(model)
    parts = [batch.to(device=device, dtype=dtype) for batch in batches if len(batch)]
    answers = [_logits(model, part, network.classes) for part in parts]
    given, own = torch.cat(parts), torch.cat(answers)
    exact = network.to(torch.float64, device).forward(given.double())[-1]
    *inner, rounded = steps.to(dtype, device).forward(given)
    leader = exact.argmax(dim=1, keepdim=True)
    wanted, found, observed = (_margins(logits, leader) for logits in (exact, own, rounded))
    # What is not finite, or overflows in the model's precision, gets no certificate anyway.
    largest = torch.stack([value.double().flatten(1).abs().amax(dim=1) for value in inner]).amax(0)
    overflows = (largest > torch.finfo(dtype).max / 4) & ~own.isfinite().all(dim=1)
    usual = exact.isfinite().all(dim=1) & rounded.isfinite().all(dim=1) & ~overflows
    if not bool(usual.any()):
        return
    spread = (observed - wanted)[usual].abs().amax(dim=0)
    sizes = largest[:, None] + exact.abs() + own.double().abs()
    sizes = sizes + sizes.gather(1, leader)
    unit = max(torch.finfo(dtype).eps, SMALLEST_UNIT)
    allowed = OBSERVED * spread + UNITS * unit * sizes
    differs = ~((found - wanted).abs() <= allowed)[usual]
    if bool(differs.any()):
        apart = float((found - wanted)[usual][differs].abs().max())
        raise UnsupportedModuleError(
            f"{type(model).__name__} does not compute what was traced: its logits differ by up to "
            f"{apart:.2g} more than rounding explains, on {int(differs.any(dim=1).sum())} of "
            f"{int(usual.sum())} images. Tracing sees a forward's steps on tensors only: no "
            "contexts such as autocast, no dependence on the batch, no changes of state"
        )


def _logits(model: nn.Module, images: Tensor, classes: int) -> Tensor:
    logits = model(images)
    if not isinstance(logits, Tensor) or logits.shape != (len(images), classes):
        raise UnsupportedModuleError(
            f"{type(model).__name__} gives something other than the logits [count, {classes}] "
            "that were traced, so it cannot be certified"
        )
    return logits


def _margins(logits: Tensor, leader: Tensor) -> Tensor:
    """Return by how much each class is below the leading one, float64 [count, classes]."""
    wide = logits.double()
    return wide.gather(1, leader) - wide
