"""FAB: the projection onto a hyperplane in the box, and exact distances of linear models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nversion.attacks import create
from nversion.attacks.ball import norms
from nversion.attacks.criteria import success_margin
from nversion.attacks.fab import to_hyperplane
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def reference(point: Any, normal: Any, gap: Any, norm: str) -> Any:
    """Return the smallest move by bisecting the common multiplier, float64 [inputs]."""
    sign = -1.0 if gap < 0 else 1.0
    slope, gap = normal * sign, abs(gap)
    room = np.where(slope > 0, 1.0 - point, point) * (slope != 0)
    speed = np.abs(slope) if norm == "l2" else (slope != 0).astype(float)

    def moves(time: Any) -> Any:
        return np.minimum(time * speed, room)

    low, high = 0.0, 1e12
    for _ in range(200):
        middle = (low + high) / 2 if high < 1.0 else np.sqrt(max(low, 1e-3) * high)
        if (np.abs(slope) * moves(middle)).sum() < gap:
            low = middle
        else:
            high = middle
    return np.sign(slope) * moves(high)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    seed=st.integers(0, 10_000),
    norm=st.sampled_from(["l2", "linf"]),
    scale=st.floats(1e-3, 30.0),
    share=st.floats(0.0, 0.9),
)
def test_projection_is_the_smallest_move(seed: int, norm: str, scale: float, share: float) -> None:
    draws = np.random.default_rng(seed)
    points, normals = draws.random((3, 12)), draws.normal(size=(3, 12))
    points[draws.random((3, 12)) < 0.3] = 0.0
    normals[draws.random((3, 12)) < share] = 0.0
    gaps = scale * draws.normal(size=3)
    found = to_hyperplane(
        torch.tensor(points, dtype=torch.float32).reshape(3, 1, 3, 4),
        torch.tensor(normals, dtype=torch.float32).reshape(3, 1, 3, 4),
        torch.tensor(gaps, dtype=torch.float32),
        norm,
    )
    moved = found.flatten(1).double().numpy()
    assert (points + moved >= -1e-6).all()
    assert (points + moved <= 1 + 1e-6).all()
    for point, normal, gap, move in zip(points, normals, gaps, moved, strict=True):
        best = reference(point, normal, gap, norm)
        assert normal @ move == pytest.approx(normal @ best, abs=2e-5 * (1 + abs(gap)))
        order = 2 if norm == "l2" else np.inf
        size, smallest = np.linalg.norm(move, order), np.linalg.norm(best, order)
        assert size == pytest.approx(smallest, abs=2e-5)


def test_projection_out_of_reach_goes_as_far_as_the_box_allows() -> None:
    point, normal = torch.full((1, 1, 2, 2), 0.25), torch.tensor([1.0, -2.0, 0.0, 3.0])
    for norm in ("l2", "linf"):
        moved = to_hyperplane(point, normal.reshape(1, 1, 2, 2), torch.tensor([100.0]), norm)
        assert torch.allclose(moved.flatten(), torch.tensor([0.75, -0.25, 0.0, 0.75]))


def test_projection_without_a_normal_or_a_gap_stays() -> None:
    points, normals = torch.rand(2, 1, 3, 3), torch.randn(2, 1, 3, 3)
    for norm in ("l2", "linf"):
        still = to_hyperplane(points, torch.zeros_like(normals), torch.tensor([1.0, -1.0]), norm)
        assert torch.equal(still, torch.zeros_like(points))
        still = to_hyperplane(points, normals, torch.zeros(2), norm)
        assert torch.equal(still, torch.zeros_like(points))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("classes", [2, 6])
def test_linear_models_within_a_per_cent(norm: str, classes: int) -> None:
    """Images have zeros and ones, so the nearest point is on the box as often as inside it."""
    draws = torch.Generator().manual_seed(classes)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, classes))
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(classes, 36, generator=draws))
        model[1].bias.zero_()
    images = (torch.rand(8, 1, 6, 6, generator=draws) * 1.6 - 0.3).clamp(0.0, 1.0)
    with torch.no_grad():
        logits = model(images)
    labels = logits.argmax(dim=1)
    exact = torch.full((8,), torch.inf)
    for other in range(classes):
        normals = (model[1].weight[other] - model[1].weight[labels]).detach()
        gaps = logits.gather(1, labels[:, None]).squeeze(1) - logits[:, other]
        moves = to_hyperplane(images, normals.reshape(images.shape), gaps, norm)
        assert torch.allclose((normals * moves.flatten(1)).sum(dim=1), gaps, atol=1e-4)
        away = norms(moves, norm)
        exact = torch.where(labels == other, exact, torch.minimum(exact, away))
    result = create("fab", norm=norm, steps=40)(model, images, labels)
    assert result.success.all()
    ratio = getattr(result, norm) / exact
    assert float(ratio.min()) >= 0.9999
    assert float(ratio.max()) <= 1.01


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_same_bits_in_every_batch(norm: str, convolutional: Victim) -> None:
    model, images, labels = convolutional
    for options in ({"restarts": 2}, {"enough": {"l2": 0.6, "linf": 0.1}[norm]}):
        attack = create("fab", norm=norm, steps=8, targets=2, **options)
        whole = attack(model, images[:6], labels[:6])
        for rows in ([3], [5, 1], [0, 2, 4, 5]):
            part = attack(model, images[rows], labels[rows])
            assert torch.equal(part.images, whole.images[rows])


def test_no_farther_than_auto_pgd_succeeds(convolutional: Victim) -> None:
    model, images, labels = convolutional
    images, labels = images[:10], labels[:10]
    fab = create("fab", targets=3, steps=30)(model, images, labels)
    assert fab.success.all()
    apgd = create("apgd", epsilon=0.1)(model, images, labels)
    assert 0 < int(apgd.success.sum()) < 10
    assert (fab.linf[apgd.success] <= 0.1 * 1.05).all()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_large_logits_ask_for_a_margin_and_do_not_stop_the_attack(norm: str) -> None:
    """A step that lands between the boundary and the success margin must go on from there."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.1, -0.2, 0.3, -0.1], [-0.1, 0.2, -0.3, 0.1]]))
        model[1].bias.copy_(torch.tensor([1000.05, 1000.0]))
    images = torch.full((1, 1, 2, 2), 0.5)
    with torch.no_grad():
        logits = model(images)
    label, gap = logits.argmax(dim=1), float((logits[0, 0] - logits[0, 1]).abs())
    margin = float(success_margin(logits, label))
    assert 0.05 * gap < margin < gap, "a plain step must land short of the margin"
    result = create("fab", norm=norm)(model, images, label)
    slope = model[1].weight.detach().diff(dim=0).norm(p=2 if norm == "l2" else 1)
    assert float(getattr(result, norm)) <= 1.02 * (gap + margin) / float(slope)


def test_enough_ends_early(convolutional: Victim) -> None:
    model, images, labels = convolutional
    images, labels = images[:10], labels[:10]
    full, early = (
        create("fab", targets=3, steps=30, enough=enough)(model, images, labels)
        for enough in (None, 0.1)
    )
    near, near_early = full.linf <= 0.1, early.linf <= 0.1
    assert 0 < int(near_early.sum()) < 10
    assert (near | ~near_early).all()
    assert early.forwards < full.forwards


def test_more_restarts_are_never_farther(convolutional: Victim) -> None:
    model, images, labels = convolutional
    images, labels = images[:6], labels[:6]
    once, often = (
        create("fab", norm="l2", steps=5, targets=1, restarts=restarts)(model, images, labels)
        for restarts in (1, 4)
    )
    assert (often.l2[once.success] <= once.l2[once.success] * 1.001).all()


@pytest.mark.parametrize("options", [{"steps": 0}, {"beta": -0.1}, {"enough": 0.0}, {"targets": 0}])
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        create("fab", **options)
