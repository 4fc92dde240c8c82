"""Classes of a network by name, where a data set has them in another order, or has more of them.

Of a class that it does not know a network has nothing to say, for it or against it. So the logit of
such a class is the mean of the network's own logits: it is never the largest, unless all are equal,
so that the network never votes for the class; and where logarithms are added up (the voter
``mean-logits``), it counts as the network's other classes do on average, and is no veto, as a
probability of nearly 0 would be. The mean is linear, and the margin to it is the mean of the
margins to the known classes, so that bounds of the network stay as they are, sound and as tight.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterable, Sequence

import torch
from torch import nn

from nversion.batches import dtype_of
from nversion.errors import InputError
from nversion.naming import did_you_mean
from nversion.versions import Version

__all__ = ["class_names_of", "with_classes"]


def class_names_of(names: Sequence[str], told: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return what classes are called: as the data have it, else as the versions have it.

    Data whose classes are called 0, 1, 2, ... say no more than their order. So where versions have
    words for as many classes, these are the classes' names.

    Args:
        names: of the data's classes; empty where they are not known.
        told: of each version the names of its own classes; empty where they are not known.
    """
    if names and not _are_numbers(names):
        return tuple(names)
    for own in told:
        fits = not names or len(own) == len(names)
        if own and fits and not any(name.isdecimal() for name in own):
            return tuple(own)
    return tuple(names)


def _are_numbers(names: Sequence[str]) -> bool:
    return list(names) == [str(place) for place in range(len(names))]


def with_classes(version: Version, names: Sequence[str]) -> Version:
    """Return a version whose outputs are the named classes, in this order.

    A version that knows only some of them gives the others the mean of its own logits, so that it
    votes neither for them nor against them. One whose own names are not known is returned as it is.
    Where none of its names is among them and all are numbers, they are the classes' places.

    Args:
        version: whose record may have class names.
        names: of a data set's classes.

    Raises:
        InputError: the version has a class that is not among the names.
    """
    own = version.record.class_names
    if own and not set(own) & set(names) and all(name.isdecimal() for name in own):
        own = tuple(names[int(name)] if int(name) < len(names) else name for name in own)
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
    layer = nn.Linear(
        len(own), len(names), bias=False, device=like.device, dtype=dtype_of(version.model)
    )
    weight = torch.full_like(layer.weight, 1.0 / len(own))
    for place, name in enumerate(own):
        weight[names.index(name)] = 0.0
        weight[names.index(name), place] = 1.0
    layer.weight = nn.Parameter(weight, requires_grad=False)
    model = nn.Sequential(OrderedDict(network=version.model, classes=layer)).eval()
    record = dataclasses.replace(version.record, classes=len(names), class_names=tuple(names))
    return dataclasses.replace(version, model=model, record=record)
