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

from nversion.architectures import Architecture
from nversion.errors import ArtefactError
from nversion.files import digest_of, read_object, sha256_of_file, write_json
from nversion.models import frozen
from nversion.program import Program
from nversion.versions import Version
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
        multiply_adds: for one image.
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
    architectures: Sequence[Architecture],
    shape: tuple[int, int, int],
    classes: int,
    calls: int = 20,
) -> Cost:
    """Measure a model that consists of networks of some architectures, on one thread.

    Args:
        name: for the table.
        model: what is asked: a network, or a program, for its vote.
        architectures: of the network, or of all its versions.
        shape: of an image.
        classes: how many.
        calls: timed for each median, or fewer where they take long.
    """
    ask: Callable[[torch.Tensor], object] = model.vote if isinstance(model, Program) else model
    one, many = torch.zeros(1, *shape), torch.zeros(BATCH, *shape)
    with single_threaded(), frozen(model), torch.inference_mode():
        seconds = [_median(functools.partial(ask, images), calls) for images in (one, many)]
    return Cost(
        name,
        sum(parameter.numel() for parameter in model.parameters()),
        sum(architecture.multiply_adds(shape, classes) for architecture in architectures),
        *seconds,
    )


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
        versions: folders of the program's versions.
        voter: of the program, by name.
        architecture: of student and baseline.
        shape: of an image.
        classes: how many.
    """

    versions: Sequence[Path]
    voter: str
    architecture: Architecture
    shape: tuple[int, int, int]
    classes: int

    def digest(self) -> str:
        """Return what the costs are of, as one digest; the machine is not in it."""
        weights = [sha256_of_file(path / "weights.safetensors") for path in self.versions]
        return digest_of(
            weights, self.voter, self.architecture.to_text(), list(self.shape), self.classes
        )

    def measure(self) -> list[Cost]:
        """Measure program, student, baseline and best version; the best on test images, that is.

        Raises:
            ArtefactError: a version cannot be read.
        """
        loaded = [Version.load(path) for path in self.versions]
        built = [one.architecture for one in loaded if one.architecture is not None]
        best = max(loaded, key=lambda version: version.record.test_accuracy)
        asked: list[tuple[str, nn.Module, list[Architecture]]] = [
            ("program", Program([version.model for version in loaded], self.voter), built)
        ]
        for role in ("student", "baseline"):
            network = self.architecture.build(self.shape, self.classes, seed=0)
            asked.append((role, network.eval(), [self.architecture]))
        if best.architecture is not None:
            asked.append((f"best version, {best.name}", best.model, [best.architecture]))
        return [
            cost_of(name, model, architectures, self.shape, self.classes)
            for name, model, architectures in asked
        ]


def keep_costs(whose: Costed, path: Path) -> list[Cost]:
    """Return the costs that a file holds; measure and write them if it holds those of others.

    Raises:
        ArtefactError: a version cannot be read.
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
