"""What the public calls are given: their options, and the network that a model computes."""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from nversion.certification.network.faithful import faithful_network
from nversion.certification.network.graph import Network
from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.recognition import reader

__all__ = ["METHODS", "Box", "check_options", "read_network"]

METHODS = ("interval", "linear", "alpha")

Box = tuple[float, float] | None
"""The range of valid pixels; None for the plain ball."""


def check_options(method: str, box: Box) -> None:
    """Raise an InputError unless there is such a method, and such a box."""
    if method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise InputError(f"method must be one of {', '.join(METHODS)}, not {method!r}{hint}")
    if box is not None and not box[0] < box[1]:
        raise InputError(f"box must be (low, high) with low < high, or None, not {box!r}")


def read_network(
    model: nn.Module, shape: tuple[int, ...], images: Tensor | None
) -> tuple[nn.Module, Network]:
    """Return a model that gives logits, and the network that it computes.

    Args:
        model: maps [count, *shape] to logits, or is declared or recognised to give probabilities.
        shape: of an image.
        images: [count, *shape], on which the network is compared with the model besides random
            ones; None: on random ones alone.

    Raises:
        UnsupportedModuleError: the model holds a module that cannot be bounded, or does not
            compute what was traced.
    """
    given = reader(model, shape)
    network = faithful_network(given, shape, images)
    # Of a model that ends in a softmax the probabilities are compared, and they may tie. Where it
    # was declared to give logits, these are.
    softmax = given is not model
    return given, dataclasses.replace(network, shifted=network.shifted or softmax)
