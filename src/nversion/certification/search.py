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

from nversion.certification.backward import Relaxation, least, margin_rows, relax_network, walk
from nversion.certification.ball import Ball, dual_norm, largest_radius, lowest
from nversion.certification.graph import Convolution, Dense, Network
from nversion.certification.patches import BLOCK

__all__ = [
    "Verdict",
    "has_windows",
    "images_per_pass",
    "judge",
    "linear_margins",
    "local_radii",
    "needs_jacobian",
    "search_radii",
]

PASSES = 7
LAST_PASSES = 3
TOLERANCE = 2e-3
NEAR, NEAR_CURVED = 0.015, 0.03
AIM = 0.9999
STEEPER = 1.08
TRUSTED = 0.5
USUAL, USUAL_JACOBIAN, RISING = 1.3, 1.1, 1.5
SHORT, LEFT, MORE = 0.999, 0.004, 0.0002
GUESS = 0.3
GUESS_WINDOWS = 0.11
GROW, SHRINK = 1.5, 2.5
LARGEST = 1e6


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What one relaxation at radii e proves.

    Attributes:
        radii: [count], up to which all margins are proved positive; may exceed e, and is then
            only proved up to e.
        loss: [count], the largest share of any margin that the bounds give away at e.
    """

    radii: Tensor
    loss: Tensor


def judge(relaxation: Relaxation, labels: Tensor, others: Tensor, needed: Tensor) -> Verdict:
    """Draw the closed-form radii and the losses from a relaxation.

    Args:
        relaxation: of the images.
        labels: int64 [count].
        others: int64 [count, rows], the classes that must stay below.
        needed: [count], what each margin must exceed.
    """
    rows = margin_rows(relaxation.network, labels, others)
    last = len(relaxation.network.nodes) - 1
    back = walk(relaxation.network, last, rows, relaxation.planes)
    images, ball = relaxation.images, relaxation.ball
    lower, center, a, reach = least(back, images, relaxation.radii, ball)
    spare = (needed + relaxation.slack)[:, None]
    limit = torch.full_like(center, LARGEST)
    radii = largest_radius(a.abs(), reach.caps(a), center - spare, limit, reach.norm)
    margins = (rows.a @ relaxation.logits[:, :, None]).squeeze(2)
    if relaxation.derivatives is not None:
        sizes, caps = _margin_derivatives(relaxation, rows.a)
        change, _ = lowest(sizes, caps, relaxation.radii[:, None], ball.norm)
        lower = torch.maximum(lower, margins + change)
        alone = largest_radius(sizes, caps, margins - spare, limit, reach.norm)
        radii = torch.maximum(radii, alone)
    proved = (lower > spare).all(dim=1)
    radii = torch.where(proved, torch.maximum(radii.amin(dim=1), relaxation.radii), radii.amin(1))
    loss = (margins - lower) / (margins - spare).clamp(min=1e-9)
    return Verdict(radii, loss.amax(dim=1))


def linear_margins(relaxation: Relaxation, labels: Tensor, others: Tensor) -> Tensor:
    """Return lower bounds of ``logit[label] - logit[other]`` over the balls, [count, rows]."""
    rows = margin_rows(relaxation.network, labels, others)
    last = len(relaxation.network.nodes) - 1
    back = walk(relaxation.network, last, rows, relaxation.planes)
    lower = least(back, relaxation.images, relaxation.radii, relaxation.ball)[0]
    if relaxation.derivatives is not None:
        margins = (rows.a @ relaxation.logits[:, :, None]).squeeze(2)
        sizes, caps = _margin_derivatives(relaxation, rows.a)
        change, _ = lowest(sizes, caps, relaxation.radii[:, None], relaxation.ball.norm)
        lower = torch.maximum(lower, margins + change)
    return lower - relaxation.slack[:, None]


def _margin_derivatives(relaxation: Relaxation, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return how fast each pixel can lower the margins, [count, rows, items], and its reach."""
    last = relaxation.network.nodes[-1]
    weight = rows @ last.weight if isinstance(last, Dense) else rows
    assert relaxation.derivatives is not None
    ranges = relaxation.derivatives.combined(weight)
    sizes, caps = ranges.items(relaxation.ball.reach(relaxation.images), upward=False)
    return sizes.squeeze(2), None if caps is None else caps.squeeze(2)


def has_windows(network: Network) -> bool:
    """Tell whether there are convolutions."""
    return any(isinstance(node, Convolution) for node in network.nodes)


def needs_jacobian(network: Network, ball: Ball) -> bool:
    """Tell whether the Jacobian's range is worth its time: in L1, where neurons have windows."""
    return ball.norm == 1.0 and has_windows(network)


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
    """Return the radii at which the network's linearisation changes its verdict, [count]."""
    with torch.enable_grad():
        leaf = images.detach().requires_grad_(True)
        logits = network.forward(leaf)[-1]
        own = logits.gather(1, labels[:, None])
        margins = own - logits.gather(1, others)
        best = torch.full_like(margins[:, 0], torch.inf)
        for i in range(others.shape[1]):
            (gradient,) = torch.autograd.grad(margins[:, i].sum(), leaf, retain_graph=True)
            size = dual_norm(gradient.flatten(1), ball.norm).clamp(min=1e-12)
            best = torch.minimum(best, margins[:, i].detach() / size)
    return best.clamp(min=1e-6, max=1e3)


def search_radii(
    network: Network,
    images: Tensor,
    labels: Tensor,
    others: Tensor,
    needed: Tensor,
    ball: Ball,
) -> Tensor:
    """Return sound radii, float64 [count].

    Args:
        network: in float64.
        images: float64 [count, *shape].
        labels: int64 [count].
        others: int64 [count, rows].
        needed: float64 [count].
        ball: the norm and the box.
    """
    fast = network.to(torch.float32)
    jacobian = needs_jacobian(network, ball)
    small = images.to(torch.float32)
    # The first guess as a share of where the linearised network would change its verdict.
    loose = has_windows(network) and ball.norm != math.inf
    share = GUESS_WINDOWS if loose else GUESS
    guess = share * local_radii(network, images, labels, others, ball)
    track = _Track(guess, USUAL_JACOBIAN if jacobian else USUAL)
    rows = torch.arange(len(images), device=images.device)
    for _ in range(PASSES):
        radii = track.probe[rows].exp().to(torch.float32)
        relaxation = relax_network(fast, small[rows], radii, ball, jacobian=jacobian)
        spare = needed[rows].to(torch.float32)
        verdict = judge(relaxation, labels[rows], others[rows], spare)
        rows = rows[~track.update(rows, verdict)]
        if len(rows) == 0:
            break
    radii, best = track.probe.exp(), torch.zeros_like(needed)
    rows = torch.arange(len(images), device=images.device)
    for turn in range(LAST_PASSES):
        e = radii[rows]
        relaxation = relax_network(network, images[rows], e, ball, jacobian=jacobian)
        verdict = judge(relaxation, labels[rows], others[rows], needed[rows])
        best[rows] = torch.maximum(best[rows], torch.minimum(verdict.radii, e))
        # A margin missed by little can cost much of the radius: step back and repeat. Where the
        # search in float32 stopped short of the largest radius, go on.
        missed = verdict.loss.log()
        short = (best[rows] < SHORT * e) | ((missed < -LEFT) & (turn == 0))
        lower = e * (-missed / USUAL - MORE).clamp(min=-4.0).exp()
        onward = e * (-missed / (RISING + 0.5)).clamp(max=0.1).exp()
        radii[rows] = torch.maximum(torch.where(missed > 0, lower, onward), best[rows])
        rows = rows[short]
        if len(rows) == 0:
            break
    return best


class _Track:
    """Where the search stands for each image; radii and losses as logarithms, float64 [count].

    Args:
        guess: the first radii to try, [count].
        usual: the slope that the curve mostly has, before two points of it are known.
    """

    def __init__(self, guess: Tensor, usual: float) -> None:
        unknown = torch.full_like(guess, torch.nan)
        self.probe = guess.log()
        self.usual = usual
        self.low = torch.full_like(guess, -torch.inf)
        self.high = torch.full_like(guess, torch.inf)
        self.before, self.loss_before = unknown, unknown.clone()
        self.slope, self.bend = unknown.clone(), unknown.clone()

    def update(self, rows: Tensor, verdict: Verdict) -> Tensor:
        """Take in the verdict on the probes of `rows`, choose the next, and tell which are done."""
        x, y = self.probe[rows], _logarithm(verdict.loss)
        proved = verdict.radii.to(torch.float64).nan_to_num(0.0).clamp(min=1e-12).log()
        low = torch.maximum(self.low[rows], torch.minimum(x, proved))
        high = torch.where(y > 0, torch.minimum(self.high[rows], x), self.high[rows])
        slope, curved = self._slope(rows, x, y)
        step = ((math.log(AIM) - y) / slope).clamp(-SHRINK, GROW)
        following = torch.minimum(torch.maximum(x + step, low), torch.maximum(high, low))
        # A step onto an end of the bracket would learn nothing: halve the bracket instead.
        stuck = (following >= high) & (y <= 0.0)
        following = torch.where(stuck, (low + high) / 2, following)
        self.probe[rows], self.low[rows], self.high[rows] = following, low, high
        self.before[rows], self.loss_before[rows] = x, y
        return (high - low <= TOLERANCE) | (y.abs() <= torch.where(curved, NEAR_CURVED, NEAR))

    def _slope(self, rows: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the curve's slope at x, and for which images it comes from three points."""
        distance = x - self.before[rows]
        secant = (y - self.loss_before[rows]) / distance
        # The parabola through the last three points; its bend by the last two secants.
        turned = secant + distance * (secant - self.slope[rows]) / (distance + self.bend[rows])
        curved = turned.isfinite() & ((turned / secant - 1.0).abs() < TRUSTED)
        # With two points: the curve is a little steeper around the root than from far away.
        slope = torch.where(distance.abs() > 0.3, STEEPER * secant, secant)
        slope = torch.where(curved, turned, slope)
        self.slope[rows], self.bend[rows] = secant, distance
        usual = torch.where(y > 0, self.usual + 0.15 * y, RISING)
        return torch.where(slope.isfinite(), slope, usual).clamp(1.0, 6.0), curved


def _logarithm(loss: Tensor) -> Tensor:
    known = loss.to(torch.float64).nan_to_num(nan=1e12, posinf=1e12)
    return known.clamp(min=1e-6, max=1e12).log()
