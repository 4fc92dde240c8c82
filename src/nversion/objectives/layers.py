"""The layers of a network in training, as bounds pass through them.

While it trains, a network is a plain sequence of layers, some of them in a form that is quicker
(:mod:`nversion.versions.arrangement`). A layer that only moves values says so by the class
attribute ``moves``, one that drops some of them by ``drops``.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from nversion.errors import TrainingError

__all__ = ["drops", "grows", "last_dense", "layers", "moved_back", "moves"]

_MOVING = (nn.Flatten, nn.Identity)
_GROWING = (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.MaxPool2d, nn.AvgPool2d)


def layers(network: nn.Module, asking: str) -> list[nn.Module]:
    """Return the layers of a plain sequence of them, without those that drop values.

    Args:
        network: in training.
        asking: name of the objective, for the message.

    Raises:
        TrainingError: the network is no plain sequence that ends in a dense layer.
    """
    if not isinstance(network, nn.Sequential):
        raise TrainingError(
            f"the objective {asking} bounds a plain sequence of layers, not a "
            f"{type(network).__name__}"
        )
    found = [layer for layer in _flat(network) if not drops(layer)]
    if not found or not isinstance(found[-1], nn.Linear):
        raise TrainingError(f"the objective {asking} bounds networks that end in a dense layer")
    return found


def last_dense(network: nn.Module, asking: str) -> nn.Linear:
    """Return the layer that gives the logits.

    Raises:
        TrainingError: as :func:`layers`.
    """
    last = layers(network, asking)[-1]
    assert isinstance(last, nn.Linear)
    return last


def drops(layer: nn.Module) -> bool:
    """Return whether a layer drops values at random while it trains, and is the identity after."""
    return isinstance(layer, nn.Dropout) or bool(getattr(layer, "drops", False))


def moves(layer: nn.Module) -> bool:
    """Return whether a layer only moves values."""
    return isinstance(layer, _MOVING) or bool(getattr(layer, "moves", False))


def grows(layer: nn.Module) -> bool:
    """Return whether a layer's outputs never fall where its inputs grow, each for itself."""
    if isinstance(layer, nn.LeakyReLU):
        return layer.negative_slope >= 0
    return moves(layer) or isinstance(layer, _GROWING)


def moved_back(layer: nn.Module, rows: Tensor, shape: torch.Size) -> Tensor:
    """Return rows over a moving layer's outputs as rows over its inputs.

    Args:
        layer: that only moves values.
        rows: [rows, ...outputs].
        shape: of one input.
    """
    places = torch.arange(shape.numel(), device=rows.device).view(1, *shape)
    order = layer(places.float()).long().flatten()
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order), device=rows.device)
    return rows.flatten(1)[:, back].view(len(rows), *shape)


def _flat(network: nn.Sequential) -> Iterator[nn.Module]:
    for layer in network:
        if isinstance(layer, nn.Sequential):
            yield from _flat(layer)
        else:
            yield layer
