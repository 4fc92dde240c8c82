"""Stage 5: certified radii of baseline and student."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from nversion.certification import certify
from nversion.datasets import Dataset
from nversion.files import read_tensors, write_tensors
from nversion.study.config import StudyConfig
from nversion.study.engine import Engine
from nversion.study.folder import StudyFolder
from nversion.study.ledger import Unit, code_digest
from nversion.study.train_stage import TrainedVersion
from nversion.versions import Version

__all__ = ["certify_networks"]

PART = 20
"""Images a unit treats: small enough to share the work out, large enough to fill a batch."""

BOX = (0.0, 1.0)


def certify_networks(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    networks: Mapping[str, TrainedVersion],
    engine: Engine,
) -> dict[str, Any]:
    """Return the key "certification" of the results: radii by domain, norm and network.

    Raises:
        NVersionError: a part could not be certified.
    """
    section = config.certification
    count = min(section.images, len(data.test))
    starts = range(0, count, PART)
    combinations = list(itertools.product(section.domains, map(str, section.norms), networks))
    units = [
        _unit(config, folder, data, networks[role], role, norm, domain, part, count)
        for domain, norm, role in combinations
        for part in range(len(starts))
    ]
    engine.require("certifying", units)
    results: dict[str, Any] = {"method": section.method, "images": count}
    for domain, norm, role in combinations:
        parts = [folder.certificates(role, norm, domain, part) for part in range(len(starts))]
        radii = torch.cat([read_tensors(path)[0]["radii"] for path in parts])
        norms = results.setdefault("norms" if domain == "ball" else "norms_box", {})
        norms.setdefault(norm, {})[role] = _summary(radii)
    return results


def _summary(radii: torch.Tensor) -> dict[str, Any]:
    """Return mean and median over all images (0 where misclassified) and the radii themselves."""
    return {
        "mean": float(radii.double().mean()),
        "median": float(radii.double().median()),
        "radii": [float(radius) for radius in radii],
    }


def _unit(
    config: StudyConfig,
    folder: StudyFolder,
    data: Dataset,
    network: TrainedVersion,
    role: str,
    norm: str,
    domain: str,
    part: int,
    count: int,
) -> Unit:
    rows = slice(part * PART, min((part + 1) * PART, count))
    path = folder.certificates(role, norm, domain, part)
    return Unit(
        name=f"certificates/{role}/l{norm}-{domain}-{part:03d}",
        function=_certify,
        arguments={
            "network": network.folder,
            "images": data.test.images[rows].numpy(),
            "labels": data.test.labels[rows].numpy(),
            "norm": norm,
            "domain": domain,
            "method": config.certification.method,
            "path": path,
        },
        inputs={
            "weights": network.weights,
            "data": data.digest,
            "rows": [rows.start, rows.stop],
            "norm": norm,
            "domain": domain,
            "method": config.certification.method,
            "code": code_digest(
                "nversion.certification", "nversion.models", "nversion.batches", __name__
            ),
        },
        outputs=(folder.relative(path),),
    )


def _certify(
    network: Path,
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    norm: str,
    domain: str,
    method: str,
    path: Path,
) -> None:
    radii = certify(
        Version.load(network).model,
        torch.from_numpy(images),
        torch.from_numpy(labels),
        norm if norm == "inf" else float(norm),
        method=method,
        box=BOX if domain == "box" else None,
    )
    write_tensors(path, {"radii": radii})
