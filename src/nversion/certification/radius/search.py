"""The radius of each image by few bound passes.

A relaxation built at radius e holds for every radius up to e. So one pass at e, whether or not it
proves e itself, proves the closed-form radius g(e): the largest r, up to e, for which the linear
bounds of all margins stay positive on the ball of r.

The best e is where the bounds of the margins at e just reach zero. The *loss* at e is the largest
share of any margin that the bounds give away, so the best e has the loss 1. Its logarithm is
nearly a straight line in the logarithm of e, and finite on both sides, so a secant from a guess
comes within a few per cent in two or three passes, and its next step is then good to a
thousandth.

The search runs in float32. The radius that is returned comes from one last pass in float64 whose
rounding is bounded, again in closed form, so nothing that the search did can make it unsound.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.bounds.relaxation import Bounding, Relaxation, relax_network
from nversion.certification.bounds.smaller_ball import SmallerBall, joined
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.lipschitz.stretches import layer_stretches
from nversion.certification.network.graph import Network
from nversion.certification.problem import Problem
from nversion.certification.radius.effort import Effort, choose_effort, useful_stretches
from nversion.certification.radius.guess import local_radii
from nversion.certification.radius.proof import Proof, prove
from nversion.certification.radius.regimes import regime
from nversion.certification.radius.secant import SecantSearch, bounded_step, log_loss
from nversion.certification.radius.slopes import BROUGHT, BetterSlopes, Slopes, with_slopes

__all__ = ["search_radii", "smaller_balls"]

# What is the same in all regimes; measured on the benchmark's networks
# (``benchmarks/certification.py``), as those of :mod:`nversion.certification.radius.regimes` are.

PASSES, LAST_PASSES = 7, 3
"""In float32 and in float64, at the most."""

STEP_DOWN, ROOM_SLOPE = 0.0002, 2.0
"""A float64 pass that failed is repeated this much lower, in logarithms, than its loss says; and
along this slope where room is left."""

FARTHEST_BACK, FARTHEST_ON = -4.0, 0.1
"""The longest steps of that, in logarithms."""

FIRST_LOSS, FIRST_PASSES = (-1.9, -0.8, -0.35), 3
"""The first smaller ball: the logarithm of its loss between these ends, best the middle one."""

FIRST_SLOPES, FIRST_ROOM = (2.2, 3.0), 1.2
"""The slopes of its loss, before the root and behind it, and what proofs may reach beyond that."""


def smaller_balls(
    network: Network,
    problem: Problem,
    radii: Tensor,
    effort: Effort,
    stretches: Stretches | None = None,
) -> SmallerBall | None:
    """Bound the balls of ``effort.levels * radii``, each with the help of the one before."""
    if stretches is None:
        stretches = layer_stretches(network, problem.ball.norm)
    search = _Search(network, problem, effort, effort.bounding(stretches))
    inner = None
    for share in effort.levels:
        inner = search.smaller_ball(share * radii, inner)
    return inner


def search_radii(
    network: Network,
    problem: Problem,
    *,
    thorough: bool = False,
    stretches: Stretches | None = None,
) -> Tensor:
    """Return sound radii, float64 [count].

    Args:
        network: in float64.
        problem: with images in float64.
        thorough: whether to buy larger radii with time.
        stretches: of the nodes, where they are known already (:func:`useful_stretches`).
    """
    effort = choose_effort(network, problem.ball, thorough=thorough)
    if stretches is None:
        stretches = useful_stretches(network, problem.ball, thorough=thorough)
    if not effort.shares_ball:
        stretches = stretches.apart()
    use = effort.bounding(stretches)
    small = problem.to(torch.float32)
    fast = _Search(network.to(torch.float32), small, effort, use)
    exact = _Search(network, problem, effort, use)
    share = fast.regime.guess.share(problem.ball.norm, stretches.nodes[-1])
    guess = share * local_radii(network, problem)
    if not effort.levels:
        return exact.certify(fast.search(guess))
    first, scale, found = fast.first_smaller_ball(guess)
    radii = [first] + [share * scale for share in effort.levels[1:]]
    inners = [found]
    for e in radii[1:]:
        inners.append(fast.smaller_ball(e, inners[-1]))
    result, proved = fast.search(scale, inners[-1]), None
    for e, found in zip(radii, inners, strict=True):
        proved = exact.smaller_ball(e, proved, found.linear)
    return exact.certify(result, proved)


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search came to.

    Attributes:
        radii: float64 [count].
        linear: where linear bounds are drawn (see :class:`Bounding`).
        slopes: of planes below ReLUs, where they are not the usual ones; None: nowhere.
    """

    radii: Tensor
    linear: frozenset[int]
    slopes: Slopes | None


@dataclasses.dataclass(frozen=True)
class _Probe:
    """What one pass over some of the images found."""

    proof: Proof
    relaxation: Relaxation

    @property
    def ball(self) -> SmallerBall:
        """What it is to larger balls."""
        found = self.relaxation
        return SmallerBall(found.region.radii, found.bounds, self.proof.margins, found.linear)


class _Search:
    """The search for the radii of images, in one precision.

    Where linear bounds are drawn (`linear`, see :class:`Bounding`) is asked once, at the first of
    several probes: then the loss is a smooth function of the radius.
    """

    def __init__(self, network: Network, problem: Problem, effort: Effort, use: Bounding) -> None:
        self.network, self.problem, self.use = network, problem, use
        self.better_slopes = effort.better_slopes
        self.regime = regime(network, problem.ball, effort)

    def probe(
        self, rows: Tensor, radii: Tensor, use: Bounding, slopes: Slopes | None = None
    ) -> _Probe:
        """Judge some of the images at `radii`, [rows]; `use` and `slopes` are of all images."""
        if use.inner is not None and len(rows) < len(self.problem):
            use = dataclasses.replace(use, inner=use.inner.rows(rows))
        part = self.problem.rows(rows)
        relaxation = relax_network(self.network, part.region(radii), use)
        if slopes is not None:
            chosen = {index: values[rows] for index, values in slopes.items()}
            relaxation = with_slopes(relaxation, chosen)
        return _Probe(prove(relaxation, part.rivals, use.inner), relaxation)

    def smaller_ball(
        self, radii: Tensor, inner: SmallerBall | None, linear: frozenset[int] | None = None
    ) -> SmallerBall:
        """Bound balls, with the help of smaller ones if there are any."""
        use = dataclasses.replace(self.use, inner=inner, linear=linear)
        return self.probe(self.problem.numbers, radii, use).ball

    def first_smaller_ball(self, guess: Tensor) -> tuple[Tensor, Tensor, SmallerBall]:
        """Find a ball that takes about half of the room, [count].

        Returns:
            Its radii, radii that its help may bring proofs near to, and what was found for it.
        """
        least, best, most = FIRST_LOSS
        radii, scale = guess.clone(), guess.clone()
        rows, order, parts = self.problem.numbers, [], []
        for turn in range(FIRST_PASSES):
            found = self.probe(rows, radii[rows], self.use)
            y = log_loss(found.proof.loss)
            slope = torch.where(y > 0, FIRST_SLOPES[1], FIRST_SLOPES[0])
            scale[rows] = FIRST_ROOM * radii[rows] * bounded_step(-y / slope).exp()
            good = ((y > least) & (y < most)) | (turn == FIRST_PASSES - 1)
            order.append(rows[good])
            parts.append(found.ball.rows(good.nonzero().squeeze(1)))
            rows, y, slope = rows[~good], y[~good], slope[~good]
            if len(rows) == 0:
                break
            radii[rows] *= bounded_step((best - y) / slope).exp()
        return radii, scale, joined(parts).rows(torch.cat(order).argsort())

    def search(self, guess: Tensor, inner: SmallerBall | None = None) -> SearchResult:
        """Search for the largest radii, and return what it comes to."""
        secant = SecantSearch(
            guess,
            self.regime.slopes,
            self.regime.curve,
            caution=self.regime.caution,
            ahead=BROUGHT if self.better_slopes else 0.0,
        )
        slopes = BetterSlopes(self.problem) if self.better_slopes else None
        rows, use = self.problem.numbers, dataclasses.replace(self.use, inner=inner)
        for _ in range(PASSES):
            chosen = slopes.chosen if slopes else None
            found = self.probe(rows, secant.probe[rows].exp(), use, chosen)
            use, proof = dataclasses.replace(use, linear=found.relaxation.linear), found.proof
            if slopes:
                proof = slopes.improve(rows, found.relaxation, proof)
                secant.lower(rows, log_loss(found.proof.loss) - log_loss(proof.loss))
            rows = rows[~secant.update(rows, proof.radii, proof.loss)]
            if len(rows) == 0:
                break
        linear = frozenset(use.linear or ())
        return SearchResult(secant.probe.exp(), linear, slopes.chosen if slopes else None)

    def certify(self, found: SearchResult, inner: SmallerBall | None = None) -> Tensor:
        """Return radii that are proved, near those that were found in float32, float64 [count]."""
        best, radii = torch.zeros_like(found.radii), found.radii.clone()
        rows = self.problem.numbers
        use = dataclasses.replace(self.use, inner=inner, linear=found.linear)
        for turn in range(LAST_PASSES):
            e = radii[rows]
            proof = self.probe(rows, e, use, found.slopes).proof
            best[rows] = torch.maximum(best[rows], torch.minimum(proof.radii, e))
            # A margin missed by little can cost much of the radius: step back and repeat. Where
            # the search in float32 stopped short of the largest radius, go on.
            missed = proof.loss.log()
            room = (missed < -self.regime.room_left) & (turn == 0)
            short = (best[rows] < self.regime.enough * e) | room
            back = (-missed / self.regime.step_back - STEP_DOWN).clamp(min=FARTHEST_BACK)
            onward = (-missed / ROOM_SLOPE).clamp(max=FARTHEST_ON)
            following = torch.where(missed > 0, e * back.exp(), e * onward.exp())
            radii[rows] = torch.maximum(following, best[rows])
            rows = rows[short]
            if len(rows) == 0:
                break
        return best
