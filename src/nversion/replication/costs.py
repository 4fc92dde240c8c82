"""What a network costs to ask: parameters, multiply-adds, and processor seconds of one thread.

What distilling saves is told beside what it loses. Processor seconds of one thread are the latency
where nothing else runs, and what else runs changes them little. They are of this machine and this
moment, so that they are kept in a file of their own, beside the numbers that one seed decides.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from nversion.architectures import Architecture
from nversion.errors import ArtefactError
from nversion.files import digest_of, read_object, write_json
from nversion.models import dtype_of, frozen
from nversion.program import Program
from nversion.replication.teacher import Teacher
from nversion.workers import single_threaded

__all__ = ["Cost", "Costed", "cost_of", "keep_costs"]

BATCH = 100

FEWEST_CALLS = 3

PATIENCE = 3.0
"""Seconds after which no further call is timed, for a program of many versions."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What it takes to ask a network, or several.

    Attributes:
        name: whose cost it is.
        parameters: of all networks together.
        multiply_adds: for one image, of convolutions and matrix products of all networks.
        one_seconds: processor seconds for one image, the median of several calls.
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
    shape: tuple[int, int, int],
    calls: int = 20,
) -> Cost:
    """Measure a model on one thread.

    Args:
        name: for the table.
        model: what is asked: a network, or a program, for its vote.
        shape: of an image.
        calls: timed for each median, or fewer where they take long.
    """
    ask: Callable[[torch.Tensor], object] = model.vote if isinstance(model, Program) else model
    networks = list(model.models) if isinstance(model, Program) else [model]
    dtype = torch.float32 if isinstance(model, Program) else dtype_of(model)
    one, many = (torch.zeros(count, *shape, dtype=dtype) for count in (1, BATCH))
    with single_threaded(), frozen(model), torch.inference_mode():
        seconds = [_median(functools.partial(ask, images), calls) for images in (one, many)]
    return Cost(
        name,
        sum(parameter.numel() for parameter in model.parameters()),
        sum(_multiply_adds(network, shape) for network in networks),
        *seconds,
    )


def _multiply_adds(network: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return a network's multiply-adds for one image, counted as it is asked."""
    image = torch.zeros(1, *shape, dtype=dtype_of(network))
    with frozen(network), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    # The counter takes a multiplication and an addition for two.
    return int(counter.get_total_flops()) // 2


def _median(call: Callable[[], object], calls: int) -> float:
    """Return the median processor time of several calls, after one that does not count."""
    call()
    times: list[float] = []
    while len(times) < calls and (len(times) < FEWEST_CALLS or sum(times) < PATIENCE):
        started = time.thread_time()
        call()
        times.append(time.thread_time() - started)
    return statistics.median(times)


@dataclasses.dataclass(frozen=True)
class Costed:
    """Whose costs are measured.

    Attributes:
        teachers: the program's versions.
        voter: of the program, by name.
        architecture: of student and baseline.
        shape: of an image.
        classes: how many.
    """

    teachers: Sequence[Teacher]
    voter: str
    architecture: Architecture
    shape: tuple[int, int, int]
    classes: int

    def digest(self) -> str:
        """Return what the costs are of, as one digest; the machine is not in it."""
        weights = [teacher.weights for teacher in self.teachers]
        return digest_of(
            weights, self.voter, self.architecture.to_text(), list(self.shape), self.classes
        )

    def measure(self) -> list[Cost]:
        """Measure program, student, baseline and best version; the best on test images, that is.

        Raises:
            NVersionError: a version cannot be read.
        """
        loaded = [teacher.load().model for teacher in self.teachers]
        right = [teacher.test_accuracy for teacher in self.teachers]
        best = right.index(max(right))
        asked: list[tuple[str, nn.Module]] = [("program", Program(loaded, self.voter))]
        for role in ("student", "baseline"):
            network = self.architecture.build(self.shape, self.classes, seed=0)
            asked.append((role, network.eval()))
        asked.append((f"best version, {self.teachers[best].name}", loaded[best]))
        return [cost_of(name, model, self.shape) for name, model in asked]


def keep_costs(whose: Costed, path: Path) -> list[Cost]:
    """Return the costs that a file holds; measure and write them if it holds those of others.

    Raises:
        NVersionError: a version cannot be read.
    """
    digest = whose.digest()
    if path.is_file():
        try:
            values: dict[str, Any] = read_object(path)
            if values.get("digest") == digest:
                return [Cost(**cost) for cost in values["costs"]]
        except (ArtefactError, KeyError, TypeError):
            pass
    costs = whose.measure()
    write_json(path, {"digest": digest, "costs": [dataclasses.asdict(cost) for cost in costs]})
    return costs
