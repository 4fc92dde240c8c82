"""Which regime a search is in: by the network, the ball and what is worth its time."""

from __future__ import annotations

import math

import networks
import pytest

from nversion.certification.ball import Ball
from nversion.certification.network.graph import Network
from nversion.certification.network.tracing import trace
from nversion.certification.radius import regimes
from nversion.certification.radius.effort import choose_effort
from nversion.certification.radius.regimes import Guess, Regime, regime


def _network(name: str) -> Network:
    return trace(networks.network(name, seed=3), networks.SHAPE)


@pytest.mark.parametrize(
    ("name", "norm", "expected"),
    [
        ("dense", 1.0, regimes.PLAIN),
        ("dense", 2.0, regimes.PLAIN),
        ("conv", math.inf, regimes.PLAIN),
        ("conv", 1.0, regimes.SHARED),
        ("conv", 2.0, regimes.SHARED),
        ("pooled", 1.0, regimes.NESTED),
        ("pooled", 2.0, regimes.SHARED),
        ("pooled", math.inf, regimes.POOLED_LINF),
    ],
)
def test_each_network_and_norm_has_its_regime(name: str, norm: float, expected: Regime) -> None:
    network, ball = _network(name), Ball(norm)
    assert regime(network, ball, choose_effort(network, ball)) is expected


def test_a_thorough_search_is_nested_where_there_are_windows_and_shared_elsewhere() -> None:
    ball = Ball(2.0)
    for name, expected in (("conv", regimes.NESTED), ("dense", regimes.SHARED_DENSE)):
        network = _network(name)
        effort = choose_effort(network, ball, thorough=True)
        assert regime(network, ball, effort) is expected


def test_every_regime_has_a_guess_for_the_norms_it_is_met_in() -> None:
    for norm in (1.0, 2.0, math.inf):
        for name in ("dense", "conv", "pooled"):
            network, ball = _network(name), Ball(norm)
            for thorough in (False, True):
                effort = choose_effort(network, ball, thorough=thorough)
                share = regime(network, ball, effort).guess.share(norm, stretch=7.0)
                assert 0.0 < share <= 0.3


def test_a_guess_falls_with_the_stretch_between_its_ends() -> None:
    guess = Guess({2.0: 5.0}, power=0.75, ends=(0.01, 0.3))
    assert guess.share(2.0, 81.0) == pytest.approx(5.0 / 27.0)
    assert guess.share(2.0, 0.0) == 0.3
    assert guess.share(2.0, 1e9) == 0.01
    assert Guess({2.0: 0.04}).share(2.0, 1e9) == 0.04
