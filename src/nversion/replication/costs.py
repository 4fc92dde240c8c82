"""What a network costs to ask: parameters, multiply-adds, and seconds on one thread.

What distilling saves is told beside what it loses. Seconds are of this machine and this moment.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from torch import nn

from nversion.architectures import Architecture
from nversion.models import frozen
from nversion.workers import single_threaded

__all__ = ["Cost", "cost_of"]

BATCH = 100


@dataclasses.dataclass(frozen=True)
class Cost:
    """What it takes to ask a network, or several.

    Attributes:
        name: whose cost it is.
        parameters: of all networks together.
        multiply_adds: for one image.
        one_seconds: for one image, the median of several calls.
        batch_seconds: for a batch of a hundred, likewise.
    """

    name: str
    parameters: int
    multiply_adds: int
    one_seconds: float
    batch_seconds: float


def cost_of(
    name: str,
    model: nn.Module,
    architectures: Sequence[Architecture],
    shape: tuple[int, int, int],
    classes: int,
    calls: int = 20,
) -> Cost:
    """Measure a model that consists of networks of some architectures, on one thread.

    Args:
        name: for the table.
        model: what is called: a network, or a program.
        architectures: of the network, or of all its versions.
        shape: of an image.
        classes: how many.
        calls: timed for each median.
    """
    one, many = torch.zeros(1, *shape), torch.zeros(BATCH, *shape)
    with single_threaded(), frozen(model), torch.inference_mode():
        seconds = [_median(lambda images=images: model(images), calls) for images in (one, many)]  # type: ignore[misc]
    return Cost(
        name,
        sum(parameter.numel() for parameter in model.parameters()),
        sum(architecture.multiply_adds(shape, classes) for architecture in architectures),
        *seconds,
    )


def _median(call: Callable[[], object], calls: int) -> float:
    call()
    times = []
    for _ in range(calls):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
