"""Certify the first images of a test set: a network, or a program's vote beside its versions.

The images are certified in parts, each a task of its own, on as many workers as there are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nversion.certification.smoothing import SmoothingResult, certify_smoothing
from nversion.certification.targets import random_targets
from nversion.datasets import TestImages
from nversion.errors import InputError, NVersionError, UnsupportedModuleError
from nversion.files import replacing, write_json
from nversion.models import evaluate, frozen, predict
from nversion.program.campaigns.radii import CertifiedRadii, NormRadii
from nversion.program.campaigns.request import Request, Smoothing
from nversion.program.campaigns.smoothing import SmoothedImages
from nversion.program.certificates.smoothed import certify_program_smoothing
from nversion.program.dispatch import certify
from nversion.program.model import Program
from nversion.program.voters import Voter
from nversion.program.voting import Voting
from nversion.progress import progress_bar
from nversion.workers import Failure, Task, Where

__all__ = ["FILES", "Certification", "Subject", "certify_images", "check_file"]

PART = 10
"""Images a task treats: few, so that the time left is known early and the cores end together."""

FILES = (".json", ".npz")


@dataclasses.dataclass(frozen=True)
class Subject:
    """Whose radii are asked for: one network, or several and how they vote.

    Attributes:
        networks: by the names they are shown under, at least one.
        voting: of a program of them; None for one network by itself.

    Raises:
        InputError: several networks, or none, that do not vote.
    """

    networks: Mapping[str, nn.Module]
    voting: Voting | None = None

    def __post_init__(self) -> None:
        if self.voting is None and len(self.networks) != 1:
            raise InputError(f"{len(self.networks)} networks need a voter; name one")

    @property
    def voter(self) -> Voter | None:
        """The program's voter; None for one network."""
        return None if self.voting is None else self.voting.voter

    @cached_property
    def model(self) -> nn.Module:
        """The network, or the program."""
        networks = list(self.networks.values())
        return networks[0] if self.voting is None else self.voting.program(networks)

    def predictions(self, images: Tensor) -> Tensor:
        """Return the classes, int64 [count]; -1 where a vote gives none."""
        model = self.model
        return model.vote(images).labels if isinstance(model, Program) else predict(model, images)


@dataclasses.dataclass(frozen=True)
class Certification:
    """What came of a request.

    Attributes:
        request: what was asked for.
        models: the names of the network or networks.
        voter: the vote's name and options; None for one network.
        dataset: the name of the images' dataset.
        dataset_digest: its SHA-256.
        labels: the true classes, int64 [count].
        predictions: the classes without any change, int64 [count]; -1 where there is none.
        norms: the radii in each norm.
        smoothed: what the smoothed model says; None where none was asked for.
    """

    request: Request
    models: tuple[str, ...]
    voter: Mapping[str, Any] | None
    dataset: str
    dataset_digest: str
    labels: Tensor
    predictions: Tensor
    norms: Mapping[str, NormRadii]
    smoothed: SmoothedImages | None = None

    @property
    def accuracy(self) -> float:
        """The share of images that are right without any change."""
        return float((self.predictions == self.labels).double().mean())

    @property
    def method(self) -> str:
        """How it was certified: by "interval", "linear", "alpha" or "smoothing"."""
        return self.request.method if self.smoothed is None else "smoothing"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; infinite radii are null."""
        request = self.request
        facts: dict[str, Any] = {
            "models": list(self.models),
            "voter": None if self.voter is None else dict(self.voter),
            "dataset": self.dataset,
            "dataset_digest": self.dataset_digest,
            "images": len(self.labels),
            "accuracy": self.accuracy,
            "method": self.method,
            **({"steps": request.steps} if self.method == "alpha" else {}),
            "box": None if request.box is None else list(request.box),
            "target": request.target,
            "seed": request.seed,
            "norms": {norm: found.to_json() for norm, found in self.norms.items()},
        }
        if self.smoothed is not None:
            facts["smoothing"] = self.smoothed.to_json()
        return {
            **facts,
            "labels": self.labels.tolist(),
            "predictions": self.predictions.tolist(),
        }

    def save(self, path: Path) -> None:
        """Write it as JSON, or its arrays as .npz with the rest as JSON text in "facts".

        Raises:
            InputError: another ending.
        """
        check_file(path)
        if path.suffix.lower() == ".json":
            write_json(path, self.to_json())
            return
        arrays: dict[str, Any] = {
            "labels": self.labels.numpy(),
            "predictions": self.predictions.numpy(),
            "facts": np.array(json.dumps(self.to_json())),
        }
        for norm, found in self.norms.items():
            arrays[f"radii_{norm}"] = found.radii.radii.numpy()
            if found.versions:
                own = [one.radii.numpy() for one in found.versions.values()]
                arrays[f"versions_radii_{norm}"] = np.stack(own)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)


def check_file(path: Path) -> None:
    """Raise InputError unless a certification can be written to a file of this ending."""
    if path.suffix.lower() not in FILES:
        raise InputError(f"{path}: must end in {' or '.join(FILES)}")


def certify_images(
    subject: Subject, data: TestImages, count: int, request: Request, where: Where
) -> Certification:
    """Certify the first images of a test set.

    Args:
        subject: the network, or the networks and how they vote.
        data: holds the images, at least one.
        count: how many, at least 1; all if there are fewer.
        request: what is to be certified of them.
        where: the workers. The radii do not depend on them.

    Raises:
        InputError: a malformed argument, a random target for a program, or versions to compare of
            no program.
        UnsupportedModuleError: a network holds a module that cannot be bounded; it is named.
    """
    if count < 1:
        raise InputError(f"count must be at least 1, not {count}")
    if request.compare and subject.voter is None:
        raise InputError("one network has no versions to compare with; leave out compare")
    if request.target == "random" and subject.voter is not None:
        raise InputError("a program's vote is certified against all classes, not a random one")
    images, labels = data.test.images[:count], data.test.labels[:count]
    predictions = subject.predictions(images)
    smoothed = None
    if request.smoothing is None:
        norms = _by_bounds(subject, images, labels, request, where)
    else:
        smoothed, seconds = _by_smoothing(subject.model, images, labels, request, where)
        norms = {"2": NormRadii(CertifiedRadii(smoothed.radii, seconds, request.shares_at("2")))}
    voter = subject.voter
    return Certification(
        request=request,
        models=tuple(subject.networks),
        voter=None if voter is None else {"name": voter.name, **voter.options()},
        dataset=data.name,
        dataset_digest=data.digest,
        labels=labels,
        predictions=predictions,
        norms=norms,
        smoothed=smoothed,
    )


def _by_bounds(
    subject: Subject, images: Tensor, labels: Tensor, request: Request, where: Where
) -> dict[str, NormRadii]:
    """Return the radii of each norm, of the subject and, if asked for, of its versions."""
    model, parts = subject.model, _parts(len(images))
    targets = None
    if request.target == "random":
        # Drawn for all images together: those of a part by itself would be others.
        with frozen(model):
            targets = random_targets(evaluate(model, images), labels, request.seed)
    networks = dict(subject.networks) if request.compare else {}
    options = {"method": request.method, "box": request.box, "steps": request.steps}
    tasks: list[Task] = [
        (
            _certify,
            {
                "model": one,
                "images": images[rows],
                "labels": labels[rows],
                "norm": norm,
                "target": None if targets is None else targets[rows],
                **options,
            },
        )
        for norm in request.norms
        for one in (model, *networks.values())
        for rows in parts
    ]
    done = iter(_run(tasks, where))
    norms = {}
    for norm in request.norms:
        at = request.shares_at(norm)
        own, *others = (_joined([next(done) for _ in parts], at) for _ in range(1 + len(networks)))
        norms[norm] = NormRadii(own, dict(zip(networks, others, strict=True)))
    return norms


def _by_smoothing(
    model: nn.Module, images: Tensor, labels: Tensor, request: Request, where: Where
) -> tuple[SmoothedImages, float]:
    """Return what the smoothed model says of the images, and the seconds of one thread."""
    options = {**dataclasses.asdict(request.smoothing or Smoothing()), "seed": request.seed}
    tasks: list[Task] = [
        (_smooth, {"model": model, "images": images[rows], "options": options})
        for rows in _parts(len(images))
    ]
    done: list[tuple[SmoothingResult, float]] = _run(tasks, where)
    smoothed = SmoothedImages.joined([part for part, _ in done], labels, request.seed)
    return smoothed, sum(spent for _, spent in done)


def _parts(count: int) -> list[slice]:
    return [slice(start, start + PART) for start in range(0, count, PART)]


def _joined(parts: Sequence[tuple[Tensor, float]], at: tuple[float, ...]) -> CertifiedRadii:
    radii, seconds = torch.cat([own for own, _ in parts]), sum(spent for _, spent in parts)
    return CertifiedRadii(radii, seconds, at)


def _certify(model: nn.Module, images: Tensor, labels: Tensor, **options: Any) -> Any:
    started = time.perf_counter()
    radii = certify(model, images, labels, **options)
    return radii, time.perf_counter() - started


def _smooth(model: nn.Module, images: Tensor, options: Mapping[str, Any]) -> Any:
    started = time.perf_counter()
    if isinstance(model, Program):
        result = certify_program_smoothing(model, images, **options)
    else:
        result = certify_smoothing(model, images, **options)
    return result, time.perf_counter() - started


def _run(tasks: Sequence[Task], where: Where) -> list[Any]:
    """Return the tasks' results in their order, and show how far they are."""
    results: list[Any] = [None] * len(tasks)
    with (
        where.pool(len(tasks)) as pool,
        progress_bar("certifying", len(tasks)) as advance,
        contextlib.closing(pool.run(tasks)) as done,
    ):
        for index, result in done:
            if isinstance(result, Failure):
                unsupported = result.kind == UnsupportedModuleError.__name__
                raise (UnsupportedModuleError if unsupported else NVersionError)(str(result))
            results[index] = result
            advance()
    return results
