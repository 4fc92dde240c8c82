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
import math

import torch
from torch import Tensor

from nversion.certification.ball import Ball, dual_norm
from nversion.certification.bounds.relaxation import Relaxation, relax_network
from nversion.certification.bounds.smaller_ball import SmallerBall, joined
from nversion.certification.lipschitz.stretches import Stretches, layer_stretches
from nversion.certification.network.graph import Convolution, Network
from nversion.certification.radius.effort import (
    Effort,
    choose_effort,
    has_pools,
    has_windows,
    useful_stretches,
)
from nversion.certification.radius.proof import Proof, prove
from nversion.certification.radius.secant import (
    EVEN,
    GROW,
    SHRINK,
    SMOOTH,
    STEPPED,
    SecantSearch,
    log_loss,
)
from nversion.certification.radius.slopes import nudged, with_slopes
from nversion.certification.rows.patches import BLOCK

__all__ = [
    "images_per_pass",
    "local_radii",
    "search_radii",
    "smaller_balls",
]

Slopes = dict[int, Tensor]
"""Of planes below ReLUs, by node, [count, *shape]; NaN for the usual one."""

PASSES, LAST_PASSES = 7, 3
"""In float32 and in float64, at the most."""

TINY = 1e-12

CLOSE, AHEAD = 0.1, 0.012
"""Slopes are bettered once the logarithm of the loss is this near to 0: which neurons may be on or
off is then nearly what it is at the root. They lower it by about so much."""

USUAL, USUAL_POOLED, USUAL_POOLED_LINF = (1.55, 1.5), (2.3, 2.3), (1.7, 2.1)
USUAL_COUPLED = (1.4, 1.6)
USUAL_NESTED = (1.45, 2.55)
"""Slopes of the loss over the radius, in logarithms, before the root and behind it: of linear
bounds without and with a max-pool, where neurons share the ball, and of ranges of the Jacobian."""

SHORT, SHORT_ROUGH = 0.999, 0.985
LEFT, LEFT_ROUGH, MORE, BACK, BACK_COUPLED, ONWARD = 0.004, 0.12, 0.0002, 1.3, 0.9, 2.0
"""When the float64 pass is repeated: what it proved falls short of the radius, or room is left."""

CAUTION, CAUTION_EVEN = 0.12, 0.06
"""With a max-pool the curve has kinks, where another neuron of a window comes into play. A secant
is wrong by about this share of its step, and a last pass that fails costs more than a shortfall.
Where neurons share the ball the curve is even, and half of the share is enough."""

LINEARISED = 4
GUESS = 0.3
GUESS_COUPLED, STEEPNESS, GUESS_COUPLED_ENDS = {1.0: 1.3, 2.0: 5.0}, 0.75, (0.01, 0.3)
GUESS_NESTED = {1.0: 0.02, 2.0: 0.04}
"""The first radius, as a share of where the linearised network would change its verdict to one of
the so many nearest classes. Where neurons share the ball, a number over a power of the network's
stretch, between two ends."""


FOOTHOLD, FOOTHOLD_PASSES, RISE = (-1.9, -0.8, -0.35), 3, 1.2
FOOTHOLD_SLOPES = 3.0, 2.2
"""The first smaller ball: the logarithm of its loss between these ends, best the middle one."""


@dataclasses.dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        radii: float64 [count].
        linear: where linear bounds are drawn (see :func:`relax_network`).
        slopes: of planes below ReLUs, where they are not the usual ones; None: nowhere.
    """

    radii: Tensor
    linear: frozenset[int]
    slopes: Slopes | None


def _coupled_share(stretch: float, norm: float) -> float:
    """Return a guess of the radius, as in `GUESS`: less where bounds add up over many layers."""
    low, high = GUESS_COUPLED_ENDS
    share: float = GUESS_COUPLED[norm] / max(stretch, TINY) ** STEEPNESS
    return min(high, max(low, share))


def smaller_balls(
    network: Network,
    images: Tensor,
    labels: Tensor,
    others: Tensor,
    radii: Tensor,
    ball: Ball,
    chosen: Effort,
    stretches: Stretches | None = None,
) -> SmallerBall | None:
    """Bound the balls of ``chosen.levels * radii``, each with the help of the one before."""
    if stretches is None:
        stretches = layer_stretches(network, ball.norm)
    case = _Case(network, images, labels, others, ball, chosen, stretches)
    inner = None
    for share in chosen.levels:
        inner = case.smaller_ball(share * radii, inner)
    return inner


def images_per_pass(network: Network) -> int:
    """Return how many images to bound together: few where layers are large."""
    largest = max(
        int(torch.Size(node.shape).numel())
        * (node.weight[0].numel() if isinstance(node, Convolution) else 16)
        for node in network.nodes
    )
    return min(64, max(1, 2 * BLOCK // largest))


def local_radii(
    network: Network, images: Tensor, labels: Tensor, others: Tensor, ball: Ball
) -> Tensor:
    """Return about the radii at which the network's linearisation changes its verdict, [count]."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = network.forward(leaf)[-1]
        own = logits.gather(1, labels[:, None])
        margins = own - logits.gather(1, others)
        # A few of the smallest are enough for a first guess.
        margins = margins.sort(dim=1).values[:, :LINEARISED]
        best = torch.full_like(margins[:, 0], torch.inf)
        for i in range(margins.shape[1]):
            (gradient,) = torch.autograd.grad(margins[:, i].sum(), leaf, retain_graph=True)
            size = dual_norm(gradient.flatten(1), ball.norm).clamp(min=1e-12)
            best = torch.minimum(best, margins[:, i].detach() / size)
    return best.clamp(min=1e-6, max=1e3)


def search_radii(
    network: Network,
    images: Tensor,
    labels: Tensor,
    others: Tensor,
    ball: Ball,
    *,
    thorough: bool = False,
    stretches: Stretches | None = None,
) -> Tensor:
    """Return sound radii, float64 [count].

    Args:
        network: in float64.
        images: float64 [count, *shape].
        labels: int64 [count].
        others: int64 [count, rows].
        ball: the norm and the box.
        thorough: whether to buy larger radii with time.
        stretches: of the nodes, where they are known already (:func:`useful_stretches`).
    """
    chosen = choose_effort(network, ball, thorough=thorough)
    if stretches is None:
        stretches = useful_stretches(network, ball, thorough=thorough)
    elif not chosen.coupled:
        stretches = stretches.apart()
    rivals = (labels, others, ball, chosen, stretches)
    fast = _Case(network.to(torch.float32), images.to(torch.float32), *rivals)
    exact = _Case(network, images, *rivals)
    share = GUESS_NESTED[ball.norm] if chosen.levels else GUESS
    if chosen.coupled and not chosen.levels and has_windows(network):
        share = _coupled_share(stretches.nodes[-1], ball.norm)
    guess = share * local_radii(network, images, labels, others, ball)
    if not chosen.levels:
        return exact.settle(fast.follow(guess))
    first, scale, found = fast.foothold(guess)
    smaller = [first] + [share * scale for share in chosen.levels[1:]]
    inners = [found]
    for e in smaller[1:]:
        inners.append(fast.smaller_ball(e, inners[-1]))
    result, proved = fast.follow(scale, inners[-1]), None
    for e, found in zip(smaller, inners, strict=True):
        proved = exact.smaller_ball(e, proved, found.linear)
    return exact.settle(result, proved)


@dataclasses.dataclass(frozen=True)
class _Case:
    """Images to be certified, in one precision.

    Where linear bounds are drawn (`linear`, see :func:`relax_network`) is asked once, at the first
    of several probes: then the loss is a smooth function of the radius.
    """

    network: Network
    images: Tensor
    labels: Tensor
    others: Tensor
    ball: Ball
    effort: Effort
    stretches: Stretches

    def probe(
        self,
        rows: Tensor,
        radii: Tensor,
        inner: SmallerBall | None,
        linear: frozenset[int] | None,
        slopes: Slopes | None = None,
    ) -> tuple[Proof, SmallerBall, Relaxation]:
        """Judge some of the images at `radii`, [rows]; `inner` and `slopes` are of all images."""
        dtype = self.images.dtype
        if inner is not None and len(rows) < len(self.images):
            inner = inner.rows(rows)
        relaxation = relax_network(
            self.network,
            self.images[rows],
            radii.to(dtype),
            self.ball,
            jacobian=self.effort.jacobian,
            inner=inner,
            linear=linear,
            settled=self.effort.settled,
            stretches=self.stretches,
            differences=self.effort.differences,
        )
        if slopes is not None:
            chosen = {index: values[rows] for index, values in slopes.items()}
            relaxation = with_slopes(relaxation, chosen)
        proof = self.prove(rows, relaxation, inner)
        found = SmallerBall(relaxation.radii, relaxation.bounds, proof.margins, relaxation.linear)
        return proof, found, relaxation

    def prove(self, rows: Tensor, relaxation: Relaxation, inner: SmallerBall | None) -> Proof:
        return prove(relaxation, self.labels[rows], self.others[rows], inner)

    def _all(self) -> Tensor:
        return torch.arange(len(self.images), device=self.images.device)

    def smaller_ball(
        self, radii: Tensor, inner: SmallerBall | None, linear: frozenset[int] | None = None
    ) -> SmallerBall:
        """Bound balls, with the help of smaller ones if there are any."""
        _, found, _ = self.probe(self._all(), radii, inner, linear)
        return found

    def foothold(self, guess: Tensor) -> tuple[Tensor, Tensor, SmallerBall]:
        """Find a ball that takes about half of the room, [count].

        Returns:
            Its radii, radii that its help may bring proofs near to, and what was found for it.
        """
        radii, scale = guess.clone(), guess.clone()
        rows, order, parts = self._all(), [], []
        for turn in range(FOOTHOLD_PASSES):
            proof, found, _ = self.probe(rows, radii[rows], None, None)
            y = log_loss(proof.loss)
            slope = torch.where(y > 0, *FOOTHOLD_SLOPES)
            scale[rows] = RISE * radii[rows] * (-y / slope).clamp(-SHRINK, GROW).exp()
            good = ((y > FOOTHOLD[0]) & (y < FOOTHOLD[2])) | (turn == FOOTHOLD_PASSES - 1)
            order.append(rows[good])
            parts.append(found.rows(good.nonzero().squeeze(1)))
            rows, y, slope = rows[~good], y[~good], slope[~good]
            if len(rows) == 0:
                break
            radii[rows] *= ((FOOTHOLD[1] - y) / slope).clamp(-SHRINK, GROW).exp()
        return radii, scale, joined(parts).rows(torch.cat(order).argsort())

    def follow(self, guess: Tensor, inner: SmallerBall | None = None) -> Found:
        """Search, and return what it comes to."""
        usual = self._usual(inner is not None)
        if inner is not None:
            curve, caution = STEPPED, 0.0
        elif self.effort.coupled:
            curve, caution = EVEN, CAUTION_EVEN
        else:
            curve, caution = SMOOTH, CAUTION if has_pools(self.network) else 0.0
        ahead = AHEAD if self.effort.nudged else 0.0
        track = SecantSearch(guess, usual, curve, caution=caution, ahead=ahead)
        rows, linear = self._all(), None
        slopes = _Slopes(self) if self.effort.nudged else None
        for _ in range(PASSES):
            e = track.probe[rows].exp()
            chosen = slopes.chosen if slopes else None
            proof, found, relaxation = self.probe(rows, e, inner, linear, chosen)
            linear = found.linear
            if slopes:
                before = log_loss(proof.loss)
                proof = slopes.bettered(rows, relaxation, proof)
                track.lower(rows, before - log_loss(proof.loss))
            rows = rows[~track.update(rows, proof.radii, proof.loss)]
            if len(rows) == 0:
                break
        return Found(track.probe.exp(), linear or frozenset(), slopes.chosen if slopes else None)

    def _usual(self, nested: bool) -> tuple[float, float]:
        if nested:
            return USUAL_NESTED
        if self.effort.coupled:
            return USUAL_COUPLED
        if not has_pools(self.network):
            return USUAL
        return USUAL_POOLED_LINF if self.ball.norm == math.inf else USUAL_POOLED

    def settle(self, found: Found, inner: SmallerBall | None = None) -> Tensor:
        """Return radii that are proved, near those that were found in float32, float64 [count]."""
        best, radii = torch.zeros_like(found.radii), found.radii.clone()
        rows = self._all()
        rough = inner is not None or self.effort.coupled
        enough, left = (SHORT_ROUGH, LEFT_ROUGH) if rough else (SHORT, LEFT)
        back = BACK_COUPLED if self.effort.coupled and inner is None else BACK
        for turn in range(LAST_PASSES):
            e = radii[rows]
            proof, _, _ = self.probe(rows, e, inner, found.linear, found.slopes)
            best[rows] = torch.maximum(best[rows], torch.minimum(proof.radii, e))
            # A margin missed by little can cost much of the radius: step back and repeat. Where
            # the search in float32 stopped short of the largest radius, go on.
            missed = proof.loss.log()
            short = (best[rows] < enough * e) | ((missed < -left) & (turn == 0))
            lower = e * (-missed / back - MORE).clamp(min=-4.0).exp()
            onward = e * (-missed / ONWARD).clamp(max=0.1).exp()
            radii[rows] = torch.maximum(torch.where(missed > 0, lower, onward), best[rows])
            rows = rows[short]
            if len(rows) == 0:
                break
        return best


class _Slopes:
    """Slopes of the planes below ReLUs, bettered once for each image of a case.

    Attributes:
        chosen: of all images, NaN for the usual ones; None before there are any.
    """

    def __init__(self, case: _Case) -> None:
        self._case = case
        self._waiting = torch.ones(len(case.images), dtype=torch.bool, device=case.images.device)
        self.chosen: Slopes | None = None

    def bettered(self, rows: Tensor, relaxation: Relaxation, proof: Proof) -> Proof:
        """Better the slopes of images whose loss is near 1, and return the proof with them."""
        close = self._waiting[rows] & (log_loss(proof.loss).abs() <= CLOSE)
        if not bool(close.any()):
            return proof
        self._waiting[rows[close]] = False
        case = self._case
        better = nudged(relaxation, case.labels[rows], case.others[rows])
        other = case.prove(rows, with_slopes(relaxation, better), None)
        taken = close & (other.loss < proof.loss)
        if self.chosen is None:
            self.chosen = {
                index: values.new_full((len(case.images), *values.shape[1:]), torch.nan)
                for index, values in better.items()
            }
        for index, values in better.items():
            self.chosen[index][rows[taken]] = values[taken]
        return Proof(
            torch.where(taken, other.radii, proof.radii),
            torch.where(taken, other.loss, proof.loss),
            torch.where(taken[:, None], other.margins, proof.margins),
        )
