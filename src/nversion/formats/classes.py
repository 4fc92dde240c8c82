"""Classes of a network by name, where a data set has them in another order, or has more of them."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import nn

from nversion.batches import dtype_of
from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.versions import Version

__all__ = ["UNKNOWN", "with_classes"]

UNKNOWN = -1e4
"""The logit of a class that a network does not know: no vote for it, in float16 too."""


def with_classes(version: Version, names: Sequence[str]) -> Version:
    """Return a version whose outputs are the named classes, in this order.

    A version that knows only some of them gives the others the logit :data:`UNKNOWN`, so that it
    never votes for them. One whose own names are not known is returned as it is.

    Args:
        version: whose record may have class names.
        names: of a data set's classes.

    Raises:
        InputError: the version has a class that is not among the names.
    """
    own = version.record.class_names
    if not own or tuple(own) == tuple(names):
        return version
    missing = [name for name in own if name not in names]
    if missing:
        raise InputError(
            f"{version.name} knows a class {missing[0]!r}, which is not among those of the "
            f"images{did_you_mean(missing[0], names)}: {', '.join(names)}; name its classes in "
            "order with --input classes=..., as the images have them"
        )
    like = next(version.model.parameters(), torch.zeros(0))
    layer = nn.Linear(len(own), len(names), device=like.device, dtype=dtype_of(version.model))
    weight = torch.zeros_like(layer.weight)
    bias = torch.full_like(layer.bias, UNKNOWN)
    for place, name in enumerate(own):
        weight[names.index(name), place] = 1.0
        bias[names.index(name)] = 0.0
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    model = nn.Sequential(OrderedDict(network=version.model, classes=layer)).eval()
    record = dataclasses.replace(version.record, classes=len(names), class_names=tuple(names))
    return dataclasses.replace(version, model=model, record=record)
