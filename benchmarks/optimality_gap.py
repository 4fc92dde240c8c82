"""How far the nearest error found lies from what is certified, for benchmarks/optimality.py.

A certified radius is a lower bound of the distance to the nearest error within [0, 1], and the
nearest image of all attacks an upper one; the error lies between them. An attack that is nearer
than a certificate would make the certificate wrong, and the benchmark ends with an error.
"""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor

from attacks_exchange import Task
from nversion.certification import certify

NORMS = {"l1": "1", "l2": "2", "linf": "inf"}
"""Norms that there are certificates in."""


def gap(task: Task, norm: str, best: Tensor, count: int) -> dict[str, Any] | None:
    """Return medians of certified radius, nearest error found and their ratio; None without.

    Args:
        task: the network and its images.
        norm: "l0", "l1", "l2" or "linf".
        best: float64 [images], the distances of the nearest errors found.
        count: how many images are certified, the first.
    """
    count = min(count, len(best))
    if norm not in NORMS or count == 0:
        return None
    busy = time.process_time()
    radii = (
        certify(task.model, task.images[:count], task.labels[:count], NORMS[norm]).double().cpu()
    )
    seconds = (time.process_time() - busy) / count
    found = best[:count]
    nearer = (found < radii).nonzero().squeeze(1).tolist()
    if nearer:
        raise SystemExit(f"{norm}: images {nearer} have errors nearer than they are certified")
    return {
        "images": count,
        "certified": float(radii.median()),
        "attacked": float(found.median()),
        "ratio": float((radii / found).median()),
        "least_ratio": float((radii / found).min()),
        "seconds": seconds,
    }


def described(gap: dict[str, Any]) -> str:
    """Return the row that says so under a table."""
    return (
        f"certified, first {gap['images']} images: median radius {gap['certified']:.4f}, nearest "
        f"error found {gap['attacked']:.4f}; the one over the other: median {gap['ratio']:.3f}, "
        f"least {gap['least_ratio']:.3f}; {gap['seconds']:.3f} s/image"
    )
