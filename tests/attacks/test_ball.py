"""Norm balls, and what every attack with a budget of distance must keep to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.attacks import create
from nversion.attacks.ball import norms, on_sphere, project, steepest, sums, within
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim

QUICK = {
    "apgd": {"steps": 15},
    "square": {"queries": 60},
    "auto": {"steps": 10, "targets": 2, "queries": 30},
}
EPSILON = {"linf": 0.3, "l2": 1.2}
TIGHT = {"apgd": {"linf": 0.12, "l2": 0.6}, "square": {"linf": 0.25, "l2": 0.9}}
TIGHT["auto"] = TIGHT["apgd"]
"""Some of the first images are broken at these, early or late, and some never."""

both_norms = pytest.mark.parametrize("norm", ["l2", "linf"])
each_ball_attack = pytest.mark.parametrize("name", list(QUICK))


def quick(name: str, norm: str, **options: Any) -> Any:
    return create(name, norm=norm, **{"epsilon": EPSILON[norm], **QUICK[name], **options})


@settings(deadline=None, max_examples=40, derandomize=True)
@given(
    seed=st.integers(0, 1000),
    epsilon=st.floats(1e-4, 10.0),
    spread=st.floats(1e-3, 5.0),
    norm=st.sampled_from(["l2", "linf"]),
)
def test_project_is_inside_and_leaves_the_inside_alone(
    seed: int, epsilon: float, spread: float, norm: str
) -> None:
    draws = torch.Generator().manual_seed(seed)
    originals = torch.rand(4, 2, 5, 3, generator=draws)
    points = originals + spread * torch.randn(4, 2, 5, 3, generator=draws)
    projected = project(points, originals, epsilon, norm)
    assert within(projected, originals, epsilon, norm).all()
    assert float(projected.min()) >= 0.0
    assert float(projected.max()) <= 1.0
    again = project(projected, originals, epsilon, norm)
    assert torch.allclose(again, projected, atol=1e-6)
    # A change cut to the ball points the way it did.
    assert (((projected - originals) * (points - originals)) >= 0).all()


def test_project_reaches_the_surface() -> None:
    originals = torch.full((2, 1, 3, 3), 0.5)
    points = originals + 10.0
    for norm in ("l2", "linf"):
        projected = project(points, originals, 0.3, norm)
        assert torch.allclose(norms(projected - originals, norm), torch.tensor(0.3), atol=1e-5)


@both_norms
def test_steepest_gains_the_dual_norm(norm: str) -> None:
    gradients = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    gradients[1] *= 1e-25
    gradients[2] = 0.0
    direction = steepest(gradients, norm)
    gain = (direction.double() * gradients.double()).flatten(1).sum(dim=1)
    dual = gradients.double().flatten(1).norm(p=2 if norm == "l2" else 1, dim=1)
    assert torch.allclose(gain, dual, rtol=1e-5, atol=0.0)
    assert torch.equal(direction[2], torch.zeros(1, 4, 4))


@both_norms
def test_on_sphere_has_radius_epsilon_before_the_box_cuts(norm: str) -> None:
    draws = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    originals = torch.full_like(draws, 0.5)
    points = on_sphere(draws, originals, 0.1, norm)
    assert np.allclose(norms(points - originals, norm), 0.1, atol=1e-5)


def test_sums_are_the_same_bits_for_a_long_row_alone() -> None:
    values = torch.randn(3, 200_000, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        together = sums(values)
        assert torch.equal(sums(values[1:2]), together[1:2])
        assert torch.equal(sums(values[1:]), together[1:])
    finally:
        torch.set_num_threads(threads)


@each_ball_attack
@both_norms
@pytest.mark.parametrize("storable", [False, True])
def test_success_means_adversarial_within_epsilon(
    name: str, norm: str, storable: bool, convolutional: Victim
) -> None:
    model, images, labels = convolutional
    images, labels = images[:8], labels[:8]
    attack = quick(name, norm)
    result = attack(model, images, labels, storable=storable)
    won = result.success
    assert int(won.sum()) >= 4, "an epsilon that breaks nothing shows nothing"
    assert (getattr(result, norm)[won].double() <= attack.radius).all()
    exact = (result.images[won] - images[won]).double().flatten(1)
    order = 2 if norm == "l2" else torch.inf
    assert (exact.norm(p=order, dim=1) <= attack.radius).all()
    with torch.no_grad():
        assert (model(result.images[won]).argmax(dim=1) != labels[won]).all()


@each_ball_attack
@both_norms
def test_same_bits_in_every_batch(name: str, norm: str, convolutional: Victim) -> None:
    model, images, labels = convolutional
    attack = quick(name, norm, epsilon=TIGHT[name][norm])
    whole = attack(model, images[:7], labels[:7], seed=2)
    assert 0 < int(whole.success.sum()) < 7
    for rows in ([4], [6, 0], [2, 5, 1, 3]):
        part = attack(model, images[rows], labels[rows], seed=2)
        assert torch.equal(part.images, whole.images[rows])
        assert torch.equal(part.success, whole.success[rows])


@each_ball_attack
def test_epsilon_follows_the_norm_and_is_recorded(name: str) -> None:
    assert create(name).options()["epsilon"] == 0.3
    assert create(name, norm="l2").options()["epsilon"] == 2.0
    assert create(name, norm="l2").norm == "l2"
    assert create(name, epsilon=0.1).options()["epsilon"] == 0.1


@pytest.mark.parametrize("name", [*QUICK, "fab", "hop-skip-jump"])
def test_refused_options(name: str) -> None:
    with pytest.raises(InputError, match="norm must be 2 or inf, not 'l1'"):
        create(name, norm="l1")
    if name in QUICK:
        for wrong in (0.0, -1.0, float("nan")):
            with pytest.raises(InputError, match="epsilon"):
                create(name, epsilon=wrong)
