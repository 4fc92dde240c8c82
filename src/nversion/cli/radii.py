"""The work of ``nversion certify``: in parts, on several cores, and what came of it as facts.

Facts are JSON values, the same that are printed, and written with ``--out``.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nversion.certification.certify import random_targets
from nversion.certification.infinite import (
    count_infinite,
    finite_radii,
    mean_radius,
    radii_as_json,
)
from nversion.certification.smoothing import SmoothingResult, certify_smoothing
from nversion.cli.request import CONFIDENCE, SAMPLES, SIGMA, Request
from nversion.errors import NVersionError, UnsupportedModuleError
from nversion.files import replacing, write_json
from nversion.models import evaluate, frozen, predict
from nversion.program import Program, RadiusComparison, certify_program_smoothing
from nversion.program.dispatch import certify
from nversion.progress import progress_bar
from nversion.workers import Failure, Task, Where

__all__ = ["bound", "predictions", "smooth", "write"]

PART = 10
"""Images a task treats: few, so that the time left is known early and the cores end together."""


def write(out: Path, facts: Mapping[str, Any]) -> None:
    """Write facts as JSON, or their arrays as .npz with the rest as JSON text in "facts"."""
    if out.suffix.lower() == ".json":
        write_json(out, facts)
        return
    arrays: dict[str, Any] = {
        "labels": np.array(facts["labels"], dtype=np.int64),
        "predictions": np.array(facts["predictions"], dtype=np.int64),
        "facts": np.array(json.dumps(facts)),
    }
    for norm, found in facts["norms"].items():
        arrays[f"radii_{norm}"] = _array(found["radii"])
        if "versions" in found:
            radii = [_array(one["radii"]) for one in found["versions"].values()]
            arrays[f"versions_radii_{norm}"] = np.stack(radii)
    with replacing(out) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _array(radii: Sequence[float | None]) -> npt.NDArray[np.float32]:
    return np.array([np.inf if radius is None else radius for radius in radii], dtype=np.float32)


def predictions(model: nn.Module, images: Tensor) -> Tensor:
    """Return the classes, int64 [count], of a network or of a program's vote (-1: none)."""
    return model.vote(images).labels if isinstance(model, Program) else predict(model, images)


def bound(
    request: Request,
    model: nn.Module,
    versions: Mapping[str, nn.Module],
    images: Tensor,
    labels: Tensor,
    *,
    seed: int,
    where: Where,
) -> dict[str, Any]:
    """Return the facts of a certification by bounds, of `model` and beside it of `versions`."""
    targets = None
    if request.target == "random":
        with frozen(model):
            targets = random_targets(evaluate(model, images), labels, seed)
    everything = [model, *versions.values()]
    options = {"method": request.method, "box": request.domain, "steps": request.slope_steps}
    found = _certified(everything, images, labels, request.norms, targets, options, where)
    facts: dict[str, Any] = {}
    for norm in request.norms:
        at = request.shares_at(norm)
        summaries = [_summary(*measured, at) for measured in found[norm]]
        facts[norm] = summaries[0]
        if versions:
            names = list(versions)
            radii = [measured[0] for measured in found[norm]]
            facts[norm]["versions"] = dict(zip(names, summaries[1:], strict=True))
            facts[norm]["comparison"] = _compared(radii, names, summaries[1:])
    return {"norms": facts}


def smooth(
    request: Request, model: nn.Module, images: Tensor, labels: Tensor, *, seed: int, where: Where
) -> dict[str, Any]:
    """Return the facts of a certification by randomised smoothing."""
    options = {
        "sigma": SIGMA if request.sigma is None else request.sigma,
        "samples": SAMPLES if request.samples is None else request.samples,
        "confidence": CONFIDENCE if request.confidence is None else request.confidence,
        "seed": seed,
    }
    tasks: list[Task] = [
        (_smooth, {"model": model, "images": images[rows], "options": options})
        for rows in _parts(len(images))
    ]
    done: list[tuple[SmoothingResult, float]] = _run(tasks, where)
    radii = torch.cat([part.radii_for(labels[rows]) for (part, _), rows in _zipped(done)])
    chosen = torch.cat([part.labels for part, _ in done])
    bounds = torch.cat([part.lower_bounds for part, _ in done])
    seconds = sum(spent for _, spent in done)
    return {
        "norms": {"2": _summary(radii, seconds, request.shares_at("2"))},
        "smoothing": {
            **options,
            "confidence_of_all": max(0.0, 1.0 - len(images) * (1.0 - options["confidence"])),
            "smoothed_accuracy": float((chosen == labels).double().mean()),
            "abstentions": int((chosen < 0).sum()),
            "classes": chosen.tolist(),
            "lower_bounds": bounds.tolist(),
        },
    }


def _zipped(done: Sequence[Any]) -> list[tuple[Any, slice]]:
    return [(part, slice(PART * place, PART * (place + 1))) for place, part in enumerate(done)]


def _summary(radii: Tensor, seconds: float, at: Sequence[float]) -> dict[str, Any]:
    """Return the facts of one network's radii; infinite ones are counted apart, and null."""
    finite = finite_radii(radii)
    return {
        "mean": mean_radius(radii),
        "median": float(finite.quantile(0.5)) if len(finite) else None,
        "infinite": count_infinite(radii),
        "certified": [
            {"radius": radius, "share": float((radii >= radius).double().mean())} for radius in at
        ],
        "seconds_per_image": seconds / len(radii),
        "radii": radii_as_json(radii),
    }


def _compared(
    radii: Sequence[Tensor], names: Sequence[str], summaries: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return how a program's radii, the first, compare with its versions'."""
    comparison = RadiusComparison(radii[0], torch.stack(list(radii[1:])))

    def middle(values: Sequence[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return float(np.median(known)) if known else None

    shares = [[entry["share"] for entry in one["certified"]] for one in summaries]
    return {
        "best_version": names[comparison.best_version],
        "best_mean": comparison.best_mean,
        "share_above_best": comparison.share_above_best,
        "share_above_median": comparison.share_above_median,
        "median_version": {
            "mean": comparison.median_mean,
            "median": middle([one["median"] for one in summaries]),
            "infinite": middle([one["infinite"] for one in summaries]),
            "certified": [
                {"radius": entry["radius"], "share": middle([row[place] for row in shares])}
                for place, entry in enumerate(summaries[0]["certified"])
            ],
            "seconds_per_image": middle([one["seconds_per_image"] for one in summaries]),
        },
    }


def _certified(
    models: Sequence[nn.Module],
    images: Tensor,
    labels: Tensor,
    norms: Sequence[str],
    targets: Tensor | None,
    options: Mapping[str, Any],
    where: Where,
) -> dict[str, list[tuple[Tensor, float]]]:
    """Return each norm's radii, float32 [count], and seconds of one thread, model by model."""
    parts = _parts(len(images))
    tasks: list[Task] = [
        (
            _certify,
            {
                "model": model,
                "images": images[rows],
                "labels": labels[rows],
                "norm": norm,
                "target": None if targets is None else targets[rows],
                **options,
            },
        )
        for norm in norms
        for model in models
        for rows in parts
    ]
    done = iter(_run(tasks, where))
    return {norm: [_joined([next(done) for _ in parts]) for _ in models] for norm in norms}


def _parts(count: int) -> list[slice]:
    return [slice(start, start + PART) for start in range(0, count, PART)]


def _joined(parts: Sequence[tuple[Tensor, float]]) -> tuple[Tensor, float]:
    return torch.cat([radii for radii, _ in parts]), sum(spent for _, spent in parts)


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
