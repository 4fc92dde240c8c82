"""DeepFool, NewtonFool, the saliency map and PGD against plain forms of their definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import create
from nversion.attacks.criteria import is_adversarial, towards_errors
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError
from nversion.models import evaluate, frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def plain_deepfool(victim: Victim, images: Tensor, labels: Tensor) -> Any:
    """Follow all boundaries, each step 2 % too long; return L2 distances."""
    points = images.clone()
    with frozen(victim.model):
        oracle = Oracle(victim.model)
        for row in range(len(images)):
            point, label = images[row : row + 1], int(labels[row])
            others = [k for k in range(10) if k != label]
            for _ in range(100):
                if is_adversarial(oracle.logits(point), labels[row : row + 1]):
                    break
                logits, jacobian = oracle.jacobian(point, torch.arange(10)[None])
                gaps = (logits[0, label] - logits[0, others]).abs()
                normals = jacobian[0, others] - jacobian[0, label]
                sizes = normals.flatten(1).norm(dim=1)
                nearest = (gaps / sizes).argmin()
                step = 1.02 * (gaps[nearest] + 1e-4) / sizes[nearest] ** 2 * normals[nearest]
                point = (point + step).clamp(0, 1)
            points[row] = point[0]
    return (points - images).flatten(1).norm(dim=1)


def test_deepfool_comes_nearer_than_its_plain_form(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:20], victim.labels[:20]
        result = create("deepfool")(victim.model, images, labels)
        plain = plain_deepfool(victim, images, labels)
        assert result.success.all()
        assert result.l2.median() <= plain.median()
        assert (result.l2 <= 1.001 * plain).float().mean() >= 0.9


def plain_newtonfool(victim: Victim, images: Tensor, labels: Tensor, eta: float = 0.01) -> Any:
    """Follow the paper's algorithm 1 in float64, with softmax probabilities; return the points."""
    points = images.double()
    longest = eta * points.flatten(1).norm(dim=1)
    for _ in range(100):
        leaf = points.float().requires_grad_(True)
        chosen = victim.model(leaf).double().softmax(dim=1).gather(1, labels[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(chosen.sum(), leaf)
        size = gradient.double().flatten(1).norm(dim=1)
        delta = torch.minimum(longest * size, chosen.detach() - 0.1)
        step = (delta / size**2)[:, None, None, None] * gradient
        going = ~is_adversarial(evaluate(victim.model, points.float()), labels)
        points = torch.where(going[:, None, None, None], (points - step).clamp(0, 1), points)
    return points


def test_newtonfool_follows_the_paper(dense: Victim) -> None:
    # The fixed images are those that the model is not too sure of: there p does not round to 1.
    images, labels = dense.images[:40], dense.labels[:40]
    unsure = evaluate(dense.model, images).softmax(dim=1).amax(dim=1) < 0.9999
    images, labels = images[unsure], labels[unsure]
    assert len(images) > 5
    result = create("newtonfool")(dense.model, images, labels)
    plain = plain_newtonfool(dense, images, labels)
    distances = (plain - images).flatten(1).norm(dim=1)
    assert result.success.all()
    assert (result.l2 <= distances + 1e-4).all()
    # Drawn in straight: the direction is the plain one's.
    ours = (result.images - images).flatten(1).double()
    theirs = (plain - images.double()).flatten(1)
    cosines = nn.functional.cosine_similarity(ours, theirs)
    assert cosines.min() > 0.999


def test_newtonfool_s_steps_are_no_longer_than_eta_allows(dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    one = create("newtonfool", iterations=1, eta=0.05)(dense.model, images, labels)
    assert 0 < int(one.success.sum()) < 20
    longest = 0.05 * images.flatten(1).norm(dim=1)
    assert (one.l2 <= longest * 1.0001)[one.success].all()


def test_saliency_map_moves_few_pixels_within_its_limits(dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    result = create("saliency-map", theta=0.05, changes_per_pixel=3)(dense.model, images, labels)
    won = result.success
    assert int(won.sum()) >= 15
    changes = (result.images - images).flatten(1).abs()
    assert float(changes.max()) <= 3 * 0.05 + 1e-6
    moves = changes / 0.05
    at_the_edge = (result.images.flatten(1) == 0.0) | (result.images.flatten(1) == 1.0)
    assert (((moves - moves.round()).abs() < 1e-4) | at_the_edge).all()
    # Only one pixel, the last, may have stopped before its third move.
    stopped = ((changes > 0) & (moves < 2.99) & ~at_the_edge).sum(dim=1)
    assert (stopped <= 1)[won].all()


def test_saliency_map_takes_back_surplus_moves(dense: Victim) -> None:
    images, labels = dense.images[:20], dense.labels[:20]
    attack = create("saliency-map")
    result = attack(dense.model, images, labels)
    changes = result.images - images
    flat = changes.flatten(1)
    with frozen(dense.model):
        oracle = Oracle(dense.model)
        partial = ((flat.abs() > 1e-4) & (flat.abs() < 0.69)).nonzero()
        rows = [int(row) for row, _ in partial if (partial[:, 0] == row).sum() == 1]
        checked = 0
        for row in rows:
            pixel = int(partial[partial[:, 0] == row][0, 1])
            value = float(result.images.flatten(1)[row, pixel])
            if value in (0.0, 1.0):
                continue
            fewer = result.images[row : row + 1].flatten(1).clone()
            fewer[0, pixel] -= 0.1 * flat[row, pixel].sign()
            label = labels[row : row + 1]
            assert not is_adversarial(oracle.logits(fewer.view(1, 1, 8, 8)), label)
            checked += 1
    assert checked > 2


def test_saliency_map_never_changes_more_pixels_for_being_refined(
    dense: Victim, convolutional: Victim
) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:40], victim.labels[:40]
        plain = create("saliency-map", refinements=0)(victim.model, images, labels)
        refined = create("saliency-map")(victim.model, images, labels)
        won = plain.success
        assert torch.equal(refined.success, won)
        assert (refined.l0 <= plain.l0)[won].all()
        as_few = won & (refined.l0 == plain.l0)
        assert (refined.l2 <= plain.l2 * 1.0001)[as_few].all()
        assert float(refined.l0[won].mean()) < 0.95 * float(plain.l0[won].mean())


def test_saliency_map_keeps_to_its_moves_when_refined(dense: Victim) -> None:
    images, labels = dense.images[:40], dense.labels[:40]
    result = create("saliency-map", iterations=10)(dense.model, images, labels)
    moves = ((result.images - images).flatten(1).abs() / 0.1 - 1e-3).ceil()
    assert int(result.success.sum()) > 3
    assert int(moves.sum(dim=1).max()) <= 10


def test_saliency_map_on_a_linear_network_changes_the_fewest_pixels_there_are() -> None:
    draws = torch.Generator().manual_seed(0)
    images = torch.rand(30, 1, 6, 6, generator=draws)
    weights = torch.randn(36, generator=draws)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2, bias=False)).eval()
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([torch.zeros(36), weights]))
    margins = images.flatten(1) @ weights
    labels = (margins > 0).long()
    # The way down from the class 1, up from the class 0.
    slopes = torch.where(labels[:, None] == 1, -weights, weights)
    values = images.flatten(1)
    room = torch.where(slopes > 0, 1 - values, values).clamp(max=0.7)
    most = (slopes.abs() * room).sort(dim=1, descending=True).values.cumsum(dim=1)
    fewest = (most <= margins.abs()[:, None]).sum(dim=1) + 1
    result = create("saliency-map")(model, images, labels)
    assert result.success.all()
    assert result.l0.tolist() == fewest.tolist()


def test_saliency_map_ends_when_no_pixel_is_left(dense: Victim) -> None:
    images, labels = dense.images[:4], dense.labels[:4]
    attack = create("saliency-map", theta=0.001, changes_per_pixel=1)
    result = attack(dense.model, images, labels)
    assert not result.success.all()
    assert result.backwards <= 4 * (64 + 2)


def plain_pgd_radius(victim: Victim, images: Tensor, labels: Tensor, seed: int = 0) -> Any:
    """Bisect the radius over runs from new random starts, as Foolbox does; return the radii."""
    draws = torch.Generator().manual_seed(seed)
    good = torch.full((len(images),), 0.3)
    bad = torch.zeros(len(images))
    with frozen(victim.model):
        oracle = Oracle(victim.model)
        for attempt in range(15):
            radius = good if attempt == 0 else (good + bad) / 2
            wide = radius[:, None, None, None]
            points = images + wide * (2 * torch.rand(images.shape, generator=draws) - 1)
            done = torch.zeros(len(images), dtype=torch.bool)
            for _ in range(40):
                logits, gradients = oracle.gradient(points.clamp(0, 1), towards_errors(labels))
                done |= is_adversarial(logits, labels)
                points = points + wide / 30 * gradients.sign()
                points = points.clamp(images - wide, images + wide).clamp(0, 1)
            assert attempt > 0 or done.all()
            good, bad = torch.where(done, radius, good), torch.where(done, bad, radius)
    return good


def test_pgd_reaches_smaller_radii_than_its_plain_form_with_fewer_gradients(dense: Victim) -> None:
    images, labels = dense.images[:30], dense.labels[:30]
    result = create("random-pgd")(dense.model, images, labels)
    plain = plain_pgd_radius(dense, images, labels)
    assert result.success.all()
    assert result.linf.median() <= plain.median()
    assert result.linf.mean() <= plain.mean()
    assert result.backwards < 30 * 160


def test_pgd_grows_the_radius_until_a_run_succeeds(dense: Victim) -> None:
    images, labels = dense.images[:8], dense.labels[:8]
    stay = create("random-pgd", epsilon=0.001, growing=1)(dense.model, images, labels)
    grow = create("random-pgd", epsilon=0.001, growing=20)(dense.model, images, labels)
    assert not stay.success.any()
    assert grow.success.all()


def test_random_starts_differ_with_the_seed(dense: Victim) -> None:
    images, labels = dense.images[:4], dense.labels[:4]
    first, second = (
        create("random-pgd", bisecting=0)(dense.model, images, labels, seed=seed) for seed in (0, 1)
    )
    assert not torch.equal(first.images, second.images)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deepfool", {"subsample": 1}),
        ("deepfool", {"steps": 2.5}),
        ("newtonfool", {"eta": -0.1}),
        ("newtonfool", {"iterations": 0}),
        ("saliency-map", {"theta": "dark"}),
        ("saliency-map", {"changes_per_pixel": True}),
        ("saliency-map", {"refinements": -1}),
        ("random-pgd", {"epsilon": float("inf")}),
        ("random-pgd", {"bisecting": -1}),
    ],
)
def test_refused_options(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        create(name, **options)
