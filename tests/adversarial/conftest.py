from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from nversion.adversarial import AttackRun, structural_similarity


def make_run(
    version: str = "a",
    attack: str = "gradient",
    count: int = 6,
    size: tuple[int, int, int] = (1, 5, 4),
    seed: int = 0,
    strength: float = 0.05,
    **changes: Any,
) -> AttackRun:
    """Return a run whose images are noise on random originals; every third image failed."""
    generator = torch.Generator().manual_seed(seed)
    originals = torch.rand(count, *size, generator=generator)
    noise = torch.rand(count, *size, generator=generator) * 2 - 1
    images = (originals + strength * noise).clamp(0, 1)
    success = torch.arange(count) % 3 != 2
    images = torch.where(success[:, None, None, None], images, originals)
    flat = (images - originals).flatten(1).abs()
    inf = torch.full((count,), torch.inf)
    labels = torch.arange(count) % 4
    fields: dict[str, Any] = {
        "version": version,
        "attack": attack,
        "norm": "l2",
        "options": {"steps": 3, "name": "é", "epsilon": 0.1},
        "seed": 5,
        "seconds": 0.25,
        "test_indices": torch.arange(count).flip(0) * 7,
        "labels": labels,
        "images": images,
        "success": success,
        "already_misclassified": torch.zeros(count, dtype=torch.bool),
        "predictions": torch.where(success, (labels + 1) % 4, labels),
        "l0": torch.where(success, (flat > 0).sum(1).float(), inf),
        "l1": torch.where(success, flat.sum(1), inf),
        "l2": torch.where(success, flat.norm(dim=1), inf),
        "linf": torch.where(success, flat.amax(1), inf),
        "ssim": torch.where(success, structural_similarity(images, originals), torch.nan),
    }
    return AttackRun(**(fields | changes))


@pytest.fixture(name="make_run")
def _make_run() -> Callable[..., AttackRun]:
    return make_run
