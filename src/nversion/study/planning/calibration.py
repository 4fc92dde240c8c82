"""How fast this machine does a study's work: a few seconds of each kind of it, on small samples.

Training steps and evaluation are timed on the smallest and the largest architecture of each kind,
and the others are put between them by their floating-point operations. Each attack is run on a
briefly trained small network, under a time limit; what it takes on a larger one follows from how
often it evaluates the network.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nversion.architectures import Architecture, student_architecture
from nversion.certification import certify
from nversion.datasets import Dataset
from nversion.errors import NVersionError
from nversion.models import evaluate, frozen
from nversion.program import AccuracyCounter
from nversion.study.config import StudyConfig
from nversion.versions import Recipe, load_recipe, resolve_precision
from nversion.versions.descent import Material
from nversion.versions.training import fit
from nversion.workers import single_threaded

__all__ = ["AttackRate", "Rates", "calibrate", "operations"]

TRAINING_SECONDS = 0.6
"""Spent on the training steps of each sampled architecture."""

ATTACK_SECONDS = 6.0
"""Spent on all attacks together, at the most."""

CERTIFICATE_SECONDS = 0.5
"""An image that took longer is not measured together with others."""

BACKWARD = 2
"""What a gradient costs, in evaluations."""

VOTED_IMAGES, VOTED_VERSIONS, VOTED_ORDERS = 500, 40, 40


@dataclasses.dataclass(frozen=True)
class AttackRate:
    """What one attack takes for one image.

    Attributes:
        seconds: on the small network, in all.
        evaluations: of the network, gradients counted by what they cost.
        at_least: whether the time limit cut it short.
    """

    seconds: float
    evaluations: float
    at_least: bool


@dataclasses.dataclass(frozen=True)
class Rates:
    """Seconds of one thread.

    Attributes:
        step: of a training step, for each architecture by name.
        evaluation: of an image, likewise; "student" is the student's.
        attacks: by name.
        small: the evaluation of an image by the network that the attacks were timed on.
        certificate: of one image's radius in one norm; None if it could not be measured.
        vote: of one image, version and order.
    """

    step: Mapping[str, float]
    evaluation: Mapping[str, float]
    attacks: Mapping[str, AttackRate]
    small: float
    certificate: float | None
    vote: float


class _Sample(NamedTuple):
    """Seconds of a training step and of an evaluated image, and the briefly trained network."""

    step: float
    evaluation: float
    network: nn.Sequential


class _TimeIsUp(Exception):  # noqa: N818 - it ends a measurement, and is no error
    pass


class _Limited(nn.Module):
    """A network that counts its evaluations and refuses them when the time is up."""

    def __init__(self, network: nn.Module, seconds: float) -> None:
        super().__init__()
        self.network = network
        self.rows = 0
        self._end = time.perf_counter() + seconds

    def forward(self, images: Tensor) -> Tensor:
        """Evaluate the network."""
        if time.perf_counter() > self._end:
            raise _TimeIsUp
        self.rows += len(images) * (1 + BACKWARD if images.requires_grad else 1)
        logits: Tensor = self.network(images)
        return logits


def operations(architecture: Architecture, data: Dataset) -> int:
    """Return the floating-point operations of evaluating one image."""
    with torch.device("meta"):
        image = torch.empty(1, *data.shape)
    network = architecture.build(data.shape, data.classes).to("meta").eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(image)
    return int(counter.get_total_flops())


def calibrate(
    config: StudyConfig,
    data: Dataset,
    architectures: Sequence[Architecture],
    networks: Mapping[str, nn.Module] = MappingProxyType({}),
) -> Rates:
    """Measure, on one thread, how long the parts of a study take; a quarter of a minute.

    Args:
        config: of the study.
        data: the dataset.
        architectures: of the versions that are trained.
        networks: of the others, by name.

    Raises:
        NVersionError: the configuration names something that is not there.
    """
    recipe = load_recipe(config.versions.recipe)
    student = dataclasses.replace(student_architecture(), name="student")
    with single_threaded():
        costs = {str(a.name): operations(a, data) for a in (*architectures, student)}
        sampled = {
            str(architecture.name): _timed(architecture, data, recipe, config)
            for architecture in (*_sample(architectures, costs), student)
        }
        kinds = {str(a.name): a.kind for a in (*architectures, student)}
        steps = {name: sample.step for name, sample in sampled.items()}
        evaluations = {name: sample.evaluation for name, sample in sampled.items()}
        small = min(sampled, key=lambda name: sampled[name].evaluation)
        return Rates(
            {name: _between(name, costs, kinds, steps) for name in costs},
            {name: _between(name, costs, kinds, evaluations) for name in costs}
            | {name: _evaluating(network, data) for name, network in networks.items()},
            dict(_attacks(config, sampled[small].network, data)),
            sampled[small].evaluation,
            _certificate(config, sampled["student"].network, data),
            _vote(config, data.classes),
        )


def _sample(architectures: Sequence[Architecture], costs: Mapping[str, int]) -> list[Architecture]:
    """Return the cheapest and the dearest architecture of each kind."""
    found: dict[str, Architecture] = {}
    for kind in dict.fromkeys(a.kind for a in architectures):
        ordered = sorted(
            (a for a in architectures if a.kind == kind), key=lambda a: costs[str(a.name)]
        )
        found |= {str(a.name): a for a in (ordered[0], ordered[-1])}
    return list(found.values())


def _timed(
    architecture: Architecture, data: Dataset, recipe: Recipe, config: StudyConfig
) -> _Sample:
    precision = resolve_precision(config.versions.precision, architecture)
    network = architecture.build(data.shape, data.classes, seed=0)
    images, labels = data.train.images, data.train.labels

    def train(steps: int) -> float:
        short = recipe.model_copy(update={"max_steps": steps, "epochs": steps})
        enough = steps * recipe.batch_size
        started = time.perf_counter()
        fit(network, Material(images[:enough], labels[:enough]), short, precision, 0, "calibration")
        return time.perf_counter() - started

    train(1)
    steps = int(min(max(TRAINING_SECONDS / max(train(2) / 2, 1e-5), 4), 300))
    step = train(steps) / steps
    return _Sample(step, _evaluating(network, data), network)


def _evaluating(network: nn.Module, data: Dataset) -> float:
    """Return the seconds of evaluating one image."""
    shown = data.test.images[:256]
    with frozen(network):
        evaluate(network, shown[:64])
        started = time.perf_counter()
        evaluate(network, shown)
        return (time.perf_counter() - started) / len(shown)


def _between(
    name: str, costs: Mapping[str, int], kinds: Mapping[str, str], known: Mapping[str, float]
) -> float:
    """Return a network's seconds, put by its operations between the measured ones of its kind."""
    if name in known:
        return known[name]
    points = sorted((costs[n], known[n]) for n in known if kinds[n] == kinds[name])
    (low, least), (high, most) = points[0], points[-1]
    share = (costs[name] - low) / (high - low) if high > low else 0.0
    return least + share * (most - least)


def _attacks(
    config: StudyConfig, network: nn.Module, data: Dataset
) -> Iterator[tuple[str, AttackRate]]:
    attacks = config.create_attacks()
    right = evaluate(network.eval(), data.test.images[:512]).argmax(1) == data.test.labels[:512]
    rows = right.nonzero().flatten()[: min(config.attacks.images, 13)]
    images, labels = data.test.images[:512][rows], data.test.labels[:512][rows]
    left, end = len(attacks), time.perf_counter() + ATTACK_SECONDS
    for name, attack in attacks.items():
        # What one attack leaves of its share is for the others.
        limited = _Limited(network, max((end - time.perf_counter()) / left, 0.05))
        started, cut = time.perf_counter(), False
        try:
            attack(limited, images, labels)
        except _TimeIsUp:
            cut = True
        except NVersionError:
            # It will fail in the study, too, and be reported there.
            pass
        count = max(len(images), 1)
        yield name, AttackRate((time.perf_counter() - started) / count, limited.rows / count, cut)
        left -= 1


def _certificate(config: StudyConfig, student: nn.Module, data: Dataset) -> float | None:
    """Return the seconds of one image's radius; more at once if the first is quick."""
    section = config.certification
    steps: dict[str, Any] = {"steps": section.steps} if section.method == "alpha" else {}
    predicted = evaluate(student.eval(), data.test.images[:64]).argmax(dim=1)
    right = (predicted == data.test.labels[:64]).nonzero().flatten()
    each = None
    for rows in (right[:1], right[:10]):
        if len(rows) == 0 or (each or 0.0) > CERTIFICATE_SECONDS:
            break
        started = time.perf_counter()
        certify(
            student,
            data.test.images[rows],
            data.test.labels[rows],
            section.norms[-1],
            method=section.method,
            box=None if "ball" in section.domains else (0.0, 1.0),
            **steps,
        )
        each = (time.perf_counter() - started) / len(rows)
    return each


def _vote(config: StudyConfig, classes: int) -> float:
    generator = torch.Generator().manual_seed(0)
    shape = (VOTED_VERSIONS, VOTED_IMAGES, classes)
    outputs = (4 * torch.randn(shape, generator=generator)).softmax(dim=2)
    labels = torch.randint(classes, (VOTED_IMAGES,), generator=generator)
    counter = AccuracyCounter(VOTED_VERSIONS, config.program.voter, VOTED_ORDERS)
    started = time.perf_counter()
    counter.add(outputs, labels)
    return (time.perf_counter() - started) / (VOTED_IMAGES * VOTED_VERSIONS * VOTED_ORDERS)
