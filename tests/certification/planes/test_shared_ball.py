"""Planes with their gain stay above maxima, wherever the neurons go together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nversion.certification.planes.shared_ball import SharedBall, Windows, share_ball

NEURONS = 12


def _windows(seed: int, window: int, rectified: bool, mean: float) -> Windows:
    draws = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.rand(2, window, NEURONS, generator=draws, dtype=torch.float64)

    center = 2.0 * draw() - 1.0
    low, high = center - 0.8 * draw(), center + 0.8 * draw()
    floor = low.amax(dim=1, keepdim=True)
    floor = floor.clamp(min=0.0) if rectified else floor
    wins = (high > floor) | (low >= floor)
    return Windows(low, high, center, wins, rectified, mean)


def _planes(windows: Windows) -> tuple[Tensor, Tensor]:
    """Return planes above that use nothing but the ranges: a constant, or half of it."""
    slopes = torch.full_like(windows.center, 0.5 / windows.center.shape[1])
    room = windows.room(slopes)
    return slopes, windows.values() + room - (slopes * windows.center).sum(dim=1)


def _maxima(windows: Windows, x: Tensor) -> Tensor:
    return x.amax(dim=-2).clamp(min=0.0) if windows.rectified else x.amax(dim=-2)


def _loss(windows: Windows, found: SharedBall, c: Tensor, x: Tensor) -> Tensor:
    """Return by how much the rows' bounds lie above the maxima at x, [points, count, rows]."""
    above = (found.slopes * x).sum(dim=-2) + found.shift
    difference = (above - _maxima(windows, x))[..., None, :] * c
    return difference.sum(dim=-1) - found.gain(-c)[0]


def _together(windows: Windows, t: Tensor, radii: Tensor) -> Tensor:
    """Shorten moves [points, count, window, neurons] to the ball and to the ranges."""
    size = t.shape[-2]
    square = t.square().sum(dim=-2) - (1.0 - windows.mean) * size * t.mean(dim=-2).square()
    share = radii / square.sum(dim=-1).sqrt().clamp(min=1e-12)
    t = t * share.clamp(max=1.0)[..., None, None]
    span = torch.where(t > 0, windows.high - windows.center, windows.center - windows.low)
    # In the ranges by shortening each window as a whole: its norm can only fall.
    inside = (span / t.abs().clamp(min=1e-12)).amin(dim=-2, keepdim=True)
    return windows.center + t * inside.clamp(max=1.0) * (1.0 - 1e-12)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    window=st.sampled_from([1, 2, 4]),
    rectified=st.booleans(),
    mean=st.sampled_from([1.0, 0.45]),
    radius=st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0]),
)
def test_no_move_within_the_ball_passes_the_planes(
    seed: int, window: int, rectified: bool, mean: float, radius: float
) -> None:
    windows = _windows(seed, window, rectified, mean)
    radii = torch.tensor([radius, radius / 2], dtype=torch.float64)
    found = share_ball(windows, *_planes(windows), radii)
    draws = torch.Generator().manual_seed(seed + 1)
    c = torch.rand(2, 5, NEURONS, generator=draws, dtype=torch.float64).pow(3.0)
    c[:, 0] = 0.0
    t = torch.randn(40, 2, window, NEURONS, generator=draws, dtype=torch.float64)
    for _ in range(30):
        t.requires_grad_(True)
        loss = _loss(windows, found, c, _together(windows, t, radii))
        assert float(loss.min().detach()) >= -1e-9
        (gradient,) = torch.autograd.grad(loss[:, :, 1:].amin(dim=2).sum(), t)
        size = gradient.flatten(2).norm(dim=2).clamp(min=1e-12)[..., None, None]
        t = t.detach() - 0.3 * max(radius, 0.01) * gradient / size
    assert bool((found.gain(-c)[0] >= 0.0).all())


def test_a_small_ball_leaves_hardly_a_gap_and_a_large_one_the_planes() -> None:
    windows = _windows(3, 4, True, 1.0)
    c = torch.ones(2, 1, NEURONS, dtype=torch.float64)
    planes = _planes(windows)
    for radius, gap in ((1e-9, 1e-3), (1e3, None)):
        radii = torch.full((2,), radius, dtype=torch.float64)
        found = share_ball(windows, *planes, radii)
        loss = _loss(windows, found, c, windows.center)
        if gap is not None:
            assert bool((loss.abs() < gap).all())
        else:
            assert torch.equal(found.slopes, planes[0])
            gains, better = found.gain(-c)
            assert not bool(gains.any())
            assert not bool(better.any())


@pytest.mark.parametrize("window", [1, 4])
def test_meeting_slopes_leave_the_least_gap(window: int) -> None:
    windows = _windows(5, window, True, 1.0)
    move = torch.full((2, 1), 0.4, dtype=torch.float64)
    best = windows.meeting(move)
    leads = windows.leads()

    def gap(slopes: Tensor) -> Tensor:
        return (move[:, None] * windows.shares(slopes) - leads).amax(dim=1)

    draws = torch.Generator().manual_seed(2)
    for scale in (0.01, 0.1, 0.5):
        other = best + scale * torch.randn(best.shape, generator=draws, dtype=best.dtype)
        other = other.clamp(min=0.0)
        other = other / other.sum(dim=1, keepdim=True).clamp(min=1.0)
        assert bool((gap(best) <= gap(other) + 1e-12).all())
