"""The public calls: exact answers on tiny networks, attacks, arguments, and what radii promise."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any

import networks
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from torch import Tensor, nn

from nversion.certification import MarginBounds, certify, margin_bounds
from nversion.certification.radius import effort, search
from nversion.errors import InputError, UnsupportedModuleError
from nversion.models import predict

NORMS = (1.0, 2.0, math.inf)


def _case(name: str, seed: int = 3, count: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    model = networks.network(name, seed)
    images = networks.images(count, seed + 1)
    return model, images, predict(model, images)


def _length(changes: Tensor, norm: float) -> Tensor:
    return torch.linalg.vector_norm(changes.double().flatten(1), norm, dim=1)


def _strongest(
    model: nn.Module, x: Tensor, labels: Tensor, radii: Tensor, norm: float, box: bool
) -> Tensor:
    """Return the worst margins that projected gradient steps from many starts find in the ball."""
    starts = networks.points(x, radii, norm, box, 12, seed=11)
    count = len(x)
    labels = labels.repeat(len(starts))
    radii_all = radii.repeat(len(starts))
    center = x.repeat(len(starts), 1, 1, 1)
    z = starts.flatten(0, 1)
    worst = torch.full((len(z),), math.inf, dtype=z.dtype)
    for step in range(25):
        z = z.detach().requires_grad_(True)
        logits = model(z)
        own = logits.gather(1, labels[:, None]).squeeze(1)
        margins = own - logits.scatter(1, labels[:, None], -math.inf).amax(1)
        inside = _length(z.detach() - center, norm) <= radii_all
        worst = torch.where(inside, torch.minimum(worst, margins.detach()), worst)
        (gradient,) = torch.autograd.grad(margins.sum(), z)
        flat = gradient.flatten(1)
        if norm == 1.0:
            direction = (
                torch.zeros_like(flat)
                .scatter(
                    1, flat.abs().topk(2, dim=1).indices, flat.gather(1, flat.abs().topk(2).indices)
                )
                .sign()
            )
        else:
            direction = (
                flat.sign()
                if norm == math.inf
                else flat / flat.norm(dim=1, keepdim=True).clamp(min=1e-12)
            )
        size = radii_all / (1 + step / 3)
        d = (z.detach() - center).flatten(1) - size[:, None] * direction
        moved = (center.flatten(1) + d).clamp(0, 1) if box else center.flatten(1) + d
        d = moved - center.flatten(1)
        if norm == math.inf:
            d = torch.minimum(torch.maximum(d, -radii_all[:, None]), radii_all[:, None])
        else:
            d = d * (radii_all / _length(d, norm).clamp(min=1e-12)).clamp(max=1.0)[:, None]
        z = center + d.reshape(center.shape) * (1 - 1e-9)
    return worst.reshape(-1, count).amin(dim=0)


@pytest.mark.parametrize("name", networks.NAMES)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("box", [True, False])
def test_no_attack_succeeds_within_the_radius(name: str, norm: float, box: bool) -> None:
    model, images, labels = _case(name)
    radii = certify(model, images, labels, norm, box=(0.0, 1.0) if box else None)
    assert radii.dtype == torch.float32
    assert bool((radii > 0).all())
    model, images = model.double(), images.double()
    worst = _strongest(model, images, labels, radii.double(), norm, box)
    assert bool((worst > 0).all())


@pytest.mark.parametrize("name", ["leaky", "conv", "pooled", "curves"])
def test_optimised_slopes_are_sound_and_lose_nothing(name: str) -> None:
    model, images, labels = _case(name)
    linear = certify(model, images, labels, 2)
    alpha = certify(model, images, labels, 2, method="alpha")
    assert bool((alpha >= linear).all())
    worst = _strongest(model.double(), images.double(), labels, alpha.double(), 2.0, True)
    assert bool((worst > 0).all())


@pytest.mark.quality
@pytest.mark.parametrize("name", ["leaky", "conv"])
def test_optimised_slopes_are_tighter(name: str) -> None:
    model, images, labels = _case(name)
    linear = certify(model, images, labels, 2)
    alpha = certify(model, images, labels, 2, method="alpha")
    assert float((alpha / linear).mean()) > 1.005


@pytest.mark.quality
@pytest.mark.parametrize("name", ["dense", "conv", "pooled", "residual"])
@pytest.mark.parametrize("norm", NORMS)
def test_linear_beats_intervals_and_the_box_never_loses_much(name: str, norm: float) -> None:
    model, images, labels = _case(name)
    interval = certify(model, images, labels, norm, method="interval")
    boxed = certify(model, images, labels, norm)
    plain = certify(model, images, labels, norm, box=None)
    assert bool((boxed > interval).all())
    assert float((boxed / plain).mean()) > 1.0


def _tiny(seed: int) -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3)
    )
    for parameter in model.parameters():
        parameter.data.mul_(2.0)
    images = torch.rand(2, 1, 2, 2)
    images[:, 0, 0, 0] = 0.0
    return model.eval(), images, predict(model, images)


def _exact_radius(model: nn.Sequential, image: Tensor, label: int, norm: float, box: bool) -> float:
    """Return the smallest distance to another class, by one linear program per ReLU pattern."""
    w1, b1, w2, b2, w3, b3 = (p.detach().double().numpy() for p in model.parameters())
    x = image.flatten().double().numpy()
    best = math.inf
    for bits in itertools.product([0.0, 1.0], repeat=6):
        s1, s2 = np.array(bits[:3]), np.array(bits[3:])
        a1, c1 = w1, b1
        a2, c2 = w2 @ (s1[:, None] * a1), w2 @ (s1 * c1) + b2
        a3, c3 = w3 @ (s2[:, None] * a2), w3 @ (s2 * c2) + b3
        rows = [-(2 * s1 - 1)[:, None] * a1, -(2 * s2 - 1)[:, None] * a2]
        ends = [(2 * s1 - 1) * c1, (2 * s2 - 1) * c2]
        for other in range(3):
            if other == label:
                continue
            a = np.vstack([*rows, (a3[label] - a3[other])[None]])
            b = np.concatenate([*ends, [c3[other] - c3[label]]])
            # Variables: x' (4) and t (4, or one for Linf), |x' - x| <= t.
            extra = 1 if norm == math.inf else 4
            spread = np.ones((4, 1)) if extra == 1 else np.eye(4)
            upper = np.vstack(
                [
                    np.hstack([a, np.zeros((len(a), extra))]),
                    np.hstack([np.eye(4), -spread]),
                    np.hstack([-np.eye(4), -spread]),
                ]
            )
            ends_all = np.concatenate([b, x, -x])
            limits = [(0, 1) if box else (None, None)] * 4 + [(0, None)] * extra
            cost = np.concatenate([np.zeros(4), np.ones(extra)])
            solved = linprog(cost, A_ub=upper, b_ub=ends_all, bounds=limits)
            if solved.status == 0:
                best = min(best, float(solved.fun))
    return best


@given(seed=st.integers(0, 10_000), norm=st.sampled_from([1.0, math.inf]), box=st.booleans())
@settings(max_examples=5, deadline=None)
def test_never_above_the_exact_radius(seed: int, norm: float, box: bool) -> None:
    model, images, labels = _tiny(seed)
    domain = (0.0, 1.0) if box else None
    radii = certify(model, images, labels, norm, box=domain)
    for i in range(len(images)):
        exact = _exact_radius(model, images[i], int(labels[i]), norm, box)
        if math.isfinite(exact):
            assert float(radii[i]) <= exact * (1 + 1e-7)


@pytest.mark.quality
@pytest.mark.parametrize(("norm", "half"), [(1.0, 0.8), (math.inf, 0.6)])
def test_mostly_near_the_exact_radius(norm: float, half: float) -> None:
    shares = []
    for seed in range(5):
        model, images, labels = _tiny(seed)
        radii = certify(model, images, labels, norm, box=None)
        for i in range(len(images)):
            exact = _exact_radius(model, images[i], int(labels[i]), norm, False)
            if math.isfinite(exact):
                shares.append(float(radii[i]) / exact)
    # Not a law: the linear bounds of some random networks are far from tight.
    assert min(shares) > 0.2
    assert sorted(shares)[len(shares) // 2] > half


def test_an_affine_network_is_certified_exactly() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 3)).eval()
    images = torch.rand(3, 1, 3, 3)
    labels = predict(model, images)
    weight = model[1].weight.detach().double()
    logits = model.double()(images.double()).detach()
    model.float()
    for norm, dual in ((1.0, math.inf), (2.0, 2.0), (math.inf, 1.0)):
        radii = certify(model, images, labels, norm, box=None)
        for i, label in enumerate(labels.tolist()):
            exact = min(
                float((logits[i, label] - logits[i, j]) / (weight[label] - weight[j]).norm(dual))
                for j in range(3)
                if j != label
            )
            assert float(radii[i]) <= exact
            assert float(radii[i]) == pytest.approx(exact, rel=6e-3, abs=1e-4)


def test_margin_bounds_hold_and_fall_with_the_radius() -> None:
    model, images, labels = _case("pooled")
    last = None
    for radius in (0.0, 0.05, 0.2, 0.6):
        radii = torch.full((len(images),), radius)
        bounds = margin_bounds(model, images, labels, radii, 2)
        assert bounds.shape == (len(images), networks.CLASSES)
        assert bool((bounds.gather(1, labels[:, None]) == 0).all())
        points = networks.points(images, radii, 2.0, True, 60, seed=2)
        with torch.no_grad():
            logits = model(points.flatten(0, 1)).reshape(60, len(images), -1)
        margins = logits.gather(2, labels[None, :, None].expand(60, -1, 1)) - logits
        assert bool((margins >= bounds - 1e-5).all())
        if last is not None:
            assert bool((bounds <= last + 1e-4).all())
        last = bounds
    with torch.no_grad():
        logits = model(images)
    at_zero = margin_bounds(model, images, labels, torch.zeros(len(images)), 2)
    margins = logits.gather(1, labels[:, None]) - logits
    assert bool((at_zero <= margins).all())
    # What rounding in float32 may take off is all that is missing.
    assert torch.allclose(at_zero, margins, atol=1e-4)


def test_misclassified_images_have_radius_zero() -> None:
    model, images, labels = _case("dense")
    wrong = labels.clone()
    wrong[1] = (wrong[1] + 1) % networks.CLASSES
    radii = certify(model, images, wrong, 2)
    assert float(radii[1]) == 0.0
    assert bool((radii[[0, 2, 3]] > 0).all())


def test_an_image_is_certified_alike_in_every_batch() -> None:
    model, images, labels = _case("conv", count=5)
    together = certify(model, images, labels, 2)
    alone = torch.cat([certify(model, images[i : i + 1], labels[i : i + 1], 2) for i in range(5)])
    assert torch.allclose(together, alone, rtol=1e-2)


def test_bounds_that_are_asked_for_again_are_the_same() -> None:
    model, images, labels = _case("pooled")
    again = MarginBounds(model, networks.SHAPE, 2)
    for radius in (0.05, 0.2):
        radii = torch.full((len(images),), radius)
        expected = margin_bounds(model, images, labels, radii, 2)
        assert torch.equal(again(images, labels, radii), expected)
    with pytest.raises(InputError, match="labels"):
        again(images, labels + networks.CLASSES, radii)
    with pytest.raises(InputError, match="method"):
        MarginBounds(model, networks.SHAPE, 2, method="guess")


def _wide(pooled: bool) -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2) if pooled else nn.Identity(),
        nn.Flatten(),
        nn.Linear(256 if pooled else 1024, 12),
        nn.ReLU(),
        nn.Linear(12, 4),
    ).eval()


@pytest.mark.quality
@pytest.mark.parametrize(("pooled", "gain"), [(False, 1.3), (True, 1.05)])
def test_neurons_that_share_the_ball_make_larger_radii(
    pooled: bool, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = networks.images(4, seed=2)
    small = _case("pooled")
    wide = (_wide(pooled), images, predict(_wide(pooled), images))
    shared = [certify(*given, 2, box=None) for given in (small, wide)]
    usual = effort.choose_effort

    def alone(*given: Any, **options: Any) -> effort.Effort:
        return dataclasses.replace(usual(*given, **options), shares_ball=False)

    for reader in (effort, search):
        monkeypatch.setattr(reader, "choose_effort", alone)
    ratios = [
        float((radii / certify(*given, 2, box=None)).mean())
        for radii, given in zip(shared, (small, wide), strict=True)
    ]
    # Where a layer has few neurons there is little to share.
    assert ratios[0] > 0.99
    assert ratios[1] > gain


def test_one_target_is_never_harder_than_all() -> None:
    model, images, labels = _case("conv")
    everything = certify(model, images, labels, 2)
    target = (labels + 1) % networks.CLASSES
    one = certify(model, images, labels, 2, target=target)
    drawn = certify(model, images, labels, 2, target="random", seed=4)
    assert bool((one >= everything * 0.99).all())
    assert bool((drawn >= everything * 0.99).all())
    again = certify(model, images, labels, 2, target="random", seed=4)
    assert torch.equal(drawn, again)
    with torch.no_grad():
        order = model(images).argsort(dim=1, descending=True)
    # With four classes the random target is always the third of them.
    assert torch.equal(drawn, certify(model, images, labels, 2, target=order[:, 2]))


def test_the_model_is_handed_back_as_it_came() -> None:
    model, images, labels = _case("residual")
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    certify(model, images[:1], labels[:1], "inf", method="interval")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"norm": 3}, "norm"),
        ({"norm": "l0"}, "norm"),
        ({"method": "exact"}, "method"),
        ({"box": (1.0, 0.0)}, "box"),
        ({"target": "nearest"}, "target"),
        ({"target": torch.tensor([0, 1])}, "labels|target"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, Any], named: str) -> None:
    model, images, labels = _case("dense")
    arguments: dict[str, Any] = {"norm": 2, **options}
    with pytest.raises(InputError, match=named):
        certify(model, images, labels, **arguments)


def test_no_images_give_no_radii() -> None:
    model, images, labels = _case("dense")
    assert certify(model, images[:0], labels[:0], 2).shape == (0,)


def test_what_cannot_be_bounded_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Softplus(), nn.Linear(128, 4))
    with pytest.raises(UnsupportedModuleError, match="Softplus"):
        certify(model, torch.rand(1, 2, 8, 8), torch.tensor([0]), 2)
