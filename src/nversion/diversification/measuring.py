"""What one source of diversity bought: measured on test images that all sources share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nversion.measures import Diversity, diversity, gradient_cosines
from nversion.models import frozen
from nversion.program import vote_outputs
from nversion.program.white_box import white_box
from nversion.randomness import numpy_generator
from nversion.reliability import coincident_failures
from nversion.versions import Version

__all__ = ["Measured", "measure"]

KEPT = ("q", "correlation", "disagreement", "double_fault", "interrater_kappa", "generalised")
"""The measures of diversity that are kept, with their intervals."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What the versions of one source are, together.

    Attributes:
        source: its name.
        names: of the versions, which are those of their folders.
        accuracies: of each on the test images.
        mean: of the accuracies.
        best: the largest.
        vote: the accuracy of the mean softmax.
        gain_over_mean: of the vote, with its interval over images: value, low, high.
        gain_over_best: likewise; the best version is picked on the same images, which flatters it.
        measures: of diversity, by name: value, low, high; None is undefined.
        coincidences: images on which two versions or more fail.
        expected_coincidences: so many as independence predicts.
        z: of Knight and Leveson's test; None where no coincidence can be.
        effective_versions: as many independent ones are worth the same; None: without limit.
        majority_failures: the share of images that most versions fail on.
        cosine: of the versions' gradients of the loss, in the mean over pairs; None if there are
            none.
        distance_mean: of the single versions, the mean distance to the nearest other class that
            their linearisation predicts.
        distance_vote: the same of the mean of all versions' logits.
    """

    source: str
    names: tuple[str, ...]
    accuracies: tuple[float, ...]
    mean: float
    best: float
    vote: float
    gain_over_mean: tuple[float, float, float]
    gain_over_best: tuple[float, float, float]
    measures: dict[str, tuple[float | None, float | None, float | None]]
    coincidences: int
    expected_coincidences: float
    z: float | None
    effective_versions: float | None
    majority_failures: float
    cosine: float | None
    distance_mean: float
    distance_vote: float

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return dataclasses.asdict(self)


def measure(
    source: str,
    versions: Sequence[Version],
    logits: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    *,
    attacked: int,
    resamples: int,
    seed: int,
) -> Measured:
    """Return what the versions of a source are together.

    Args:
        source: its name.
        versions: with their networks.
        logits: of each on all test images.
        images: all test images.
        labels: of them.
        attacked: so many of the images, the first, for gradients and distances.
        resamples: of the bootstrap over images.
        seed: of the bootstrap.
    """
    outputs = torch.stack([one.softmax(dim=1) for one in logits])
    right = (outputs.argmax(dim=2) == labels).numpy()
    voted = (vote_outputs(outputs).labels == labels).numpy()
    each = right.mean(axis=1)
    found = diversity(outputs, labels, resamples=resamples, seed=seed)
    failures = coincident_failures(~right)
    models = [version.model for version in versions]
    near = white_box(models, images[:attacked], labels[:attacked])
    cosines = gradient_cosines(
        np.stack([_gradients(one, images[:attacked], labels[:attacked]).numpy() for one in models])
    )
    pairs = cosines[np.triu_indices(len(models), 1)]
    gains = [voted - right.mean(axis=0), voted.astype(float) - right[int(each.argmax())]]
    over = [_interval(gain, resamples, seed) for gain in gains]
    return Measured(
        source=source,
        names=tuple(version.name for version in versions),
        accuracies=tuple(each.tolist()),
        mean=float(each.mean()),
        best=float(each.max()),
        vote=float(voted.mean()),
        gain_over_mean=over[0],
        gain_over_best=over[1],
        measures={name: _measured(found, name) for name in KEPT},
        coincidences=failures.coincidences,
        expected_coincidences=failures.expected_coincidences,
        z=_number(failures.knight_leveson_z),
        effective_versions=_number(failures.effective_versions),
        majority_failures=failures.majority_failures(len(models)),
        cosine=None if np.isnan(pairs).all() else float(np.nanmean(pairs)),
        distance_mean=float(near.extensions(()).mean()),
        distance_vote=near.score(range(len(models))),
    )


def _gradients(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradients of the cross-entropy by each image, as it has them."""
    with frozen(model), torch.enable_grad():
        points = images.detach().clone().requires_grad_(True)
        loss = functional.cross_entropy(model(points), labels, reduction="sum")
        (gradients,) = torch.autograd.grad(loss, points)
    return gradients.detach()


def _interval(
    values: np.ndarray[tuple[int, ...], np.dtype[Any]], resamples: int, seed: int
) -> tuple[float, float, float]:
    """Return the mean and its 95 % bootstrap interval over images.

    The values are few different ones, so that counts of each are drawn.
    """
    kinds, counts = np.unique(values, return_counts=True)
    drawn = numpy_generator("gain", seed).multinomial(
        len(values), counts / len(values), size=resamples
    )
    low, high = np.quantile(drawn @ kinds / len(values), [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def _measured(found: Diversity, name: str) -> tuple[float | None, float | None, float | None]:
    low, high = found.interval(name)
    return _number(found.mean(name)), _number(low), _number(high)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
