from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from nversion.attacks.criteria import is_adversarial, margins
from nversion.attacks.decoupled import walk_to_boundary
from nversion.attacks.nearest import Nearest
from nversion.attacks.oracle import Oracle
from nversion.models import frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


@pytest.mark.parametrize("steps", [5, 25])
def test_ends_at_adversarial_points_near_the_boundary(steps: int, dense: Victim) -> None:
    images, labels = dense.images[:30], dense.labels[:30]
    with frozen(dense.model):
        oracle, nearest = Oracle(dense.model), Nearest(images)
        ends = walk_to_boundary(
            oracle, nearest, labels, lambda z, rows: 1e-3 - margins(z, labels[rows]), steps
        )
        backwards, found = oracle.backwards, nearest.found()
        assert len(found) >= (30 if steps == 25 else 25)
        assert torch.equal(ends[found], nearest.points[found])
        assert is_adversarial(oracle.logits(ends[found]), labels[found]).all()
        squares = (ends - images).flatten(1).square().sum(dim=1)
        assert torch.allclose(squares[found], nearest.squares[found])
        # All ten classes once; two racers for eight steps, the first without a look; then one.
        looks = 2 * 4 if steps == 5 else 2 * 7 + 17
        assert backwards == 30 * (10 + looks)
        if steps == 25:
            # A tenth of the way back to the original none is adversarial any more.
            back = images + 0.9 * (ends - images)
            assert not is_adversarial(oracle.logits(back), labels).any()
