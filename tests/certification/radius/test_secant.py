"""The search comes to the root of the loss curve in a few steps, and past its kinks."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nversion.certification.radius.regimes import PLAIN, SHARED
from nversion.certification.radius.secant import SecantSearch

ROOT = 0.3


def _follow(
    curve: Callable[[Tensor], Tensor], track: SecantSearch, steps: int = 7
) -> tuple[float, int, list[float]]:
    """Return the last radius, the probes it took, and all of them; the curve is of logarithms."""
    rows = torch.tensor([0])
    probes = []
    for step in range(steps):
        x = track.probe[rows]
        probes.append(float(x.exp()))
        y = curve(x)
        proved = torch.where(y <= 0.0, x.exp() * 1.01, torch.full_like(x, 0.6 * ROOT))
        if bool(track.update(rows, proved, y.exp())):
            return float(track.probe.exp()), step + 1, probes
    return float(track.probe.exp()), steps, probes


@pytest.mark.parametrize("slope", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("guess", [0.1, 0.29, 0.8])
def test_a_straight_curve_is_followed_to_its_root(slope: float, guess: float) -> None:
    for even in (False, True):
        track = SecantSearch(
            torch.tensor([guess], dtype=torch.float64),
            (1.4, 1.6),
            (SHARED if even else PLAIN).curve,
        )
        found, steps, _ = _follow(lambda x: slope * (x - torch.tensor(ROOT).log()), track)
        assert steps <= 5
        assert 0.96 * ROOT < found <= ROOT * 1.001


def test_a_concave_curve_is_seldom_overshot_where_it_is_even() -> None:
    def curve(x: Tensor) -> Tensor:
        distance = x - torch.tensor(ROOT).log()
        return 1.5 * distance - 0.4 * distance.square()

    for guess in (0.12, 0.2, 0.4, 0.6):
        track = SecantSearch(torch.tensor([guess], dtype=torch.float64), (1.4, 1.6), SHARED.curve)
        found, steps, _ = _follow(curve, track)
        assert steps <= 4
        assert 0.97 * ROOT < found <= 1.002 * ROOT


def test_a_curve_that_comes_to_lie_lower_is_followed_beyond_what_failed_before() -> None:
    def curve(x: Tensor) -> Tensor:
        return 1.5 * (x - torch.tensor(ROOT).log())

    track = SecantSearch(torch.tensor([0.31], dtype=torch.float64), (1.5, 1.5), PLAIN.curve)
    rows = torch.tensor([0])
    track.update(rows, torch.tensor([0.2]), curve(track.probe).exp())
    assert float(track.high.exp()) == pytest.approx(0.31)
    track.lower(rows, torch.tensor([0.5], dtype=torch.float64))
    assert not bool(track.high.isfinite().any())
    found, _, _ = _follow(lambda x: curve(x) - 0.5, track)
    assert found == pytest.approx(ROOT * 2.718281828 ** (0.5 / 1.5), rel=0.01)


def test_a_lowering_of_nothing_changes_nothing() -> None:
    track = SecantSearch(torch.tensor([0.2, 0.4], dtype=torch.float64), (1.5, 1.5), PLAIN.curve)
    rows = torch.tensor([0, 1])
    track.update(rows, torch.tensor([0.2, 0.1]), torch.tensor([0.5, 2.0]))
    before = track.high.clone(), track.loss_before.clone()
    track.lower(rows, torch.zeros(2, dtype=torch.float64))
    assert torch.equal(track.high, before[0])
    assert torch.equal(track.loss_before, before[1])
