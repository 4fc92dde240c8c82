"""The radius of each image by few bound passes.

A relaxation built at radius e holds for every radius up to e. So one pass at e, whether or not it
proves e itself, proves the closed-form radius g(e): the largest r for which the linear bounds of
all margins stay positive on the ball of r (and at most e). As e grows the planes get looser and
g(e) falls, so the best certificate is where g(e) = e, and both e and g(e) enclose it after a
single pass. A secant on log g(e) - log e closes in on it.

The search runs in float32. The radius that is returned comes from one last pass in float64 whose
rounding is bounded, again in closed form, so nothing that the search did can make it unsound.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.backward import Relaxation, least, margin_rows, relax_network, walk
from nversion.certification.ball import Ball, dual_norm, largest_radius, lowest
from nversion.certification.graph import Convolution, Dense, Network
from nversion.certification.patches import BLOCK

__all__ = ["closed_form", "images_per_pass", "linear_margins", "local_radii", "search_radii"]

PASSES = 8
TOLERANCE = 2e-3
SMALLEST = 1e-6


def closed_form(relaxation: Relaxation, labels: Tensor, others: Tensor, needed: Tensor) -> Tensor:
    """Return g(e): the radius, not capped at e, up to which the linear bounds keep every margin.

    Args:
        relaxation: of the images.
        labels: int64 [count].
        others: int64 [count, rows], the classes that must stay below.
        needed: [count], what each margin must exceed.
    """
    rows = margin_rows(relaxation.network, labels, others)
    last = len(relaxation.network.nodes) - 1
    back = walk(relaxation.network, last, rows, relaxation.planes)
    _, center, a, reach = least(back, relaxation.images, relaxation.radii, relaxation.ball)
    spare = (needed + relaxation.slack)[:, None]
    limit = torch.full_like(center, 1e6)
    radii = largest_radius(a.abs(), reach.caps(a), center - spare, limit, reach.norm)
    if relaxation.derivatives is not None:
        margins, sizes, caps = _margin_derivatives(relaxation, rows.a)
        radii = torch.maximum(
            radii, largest_radius(sizes, caps, margins - spare, limit, reach.norm)
        )
    return radii.amin(dim=1)


def linear_margins(relaxation: Relaxation, labels: Tensor, others: Tensor) -> Tensor:
    """Return lower bounds of ``logit[label] - logit[other]`` over the balls, [count, rows]."""
    rows = margin_rows(relaxation.network, labels, others)
    last = len(relaxation.network.nodes) - 1
    back = walk(relaxation.network, last, rows, relaxation.planes)
    lower = least(back, relaxation.images, relaxation.radii, relaxation.ball)[0]
    if relaxation.derivatives is not None:
        margins, sizes, caps = _margin_derivatives(relaxation, rows.a)
        change, _ = lowest(sizes, caps, relaxation.radii[:, None], relaxation.ball.norm)
        lower = torch.maximum(lower, margins + change)
    return lower - relaxation.slack[:, None]


def _margin_derivatives(
    relaxation: Relaxation, rows: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return margins at the images [count, rows], and how fast which pixels can lower them."""
    margins = (rows @ relaxation.logits[:, :, None]).squeeze(2)
    last = relaxation.network.nodes[-1]
    weight = rows @ last.weight if isinstance(last, Dense) else rows
    assert relaxation.derivatives is not None
    ranges = relaxation.derivatives.combined(weight)
    sizes, caps = ranges.items(relaxation.ball.reach(relaxation.images), upward=False)
    return margins, sizes.squeeze(2), None if caps is None else caps.squeeze(2)


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
    return best.clamp(min=SMALLEST, max=1e3)


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
    jacobian = ball.norm == 1.0
    small = images.to(torch.float32)
    guess = 0.3 * local_radii(network, images, labels, others, ball)
    low, high = torch.zeros_like(guess), torch.full_like(guess, torch.inf)
    open_rows = torch.arange(len(images), device=images.device)
    old_e = torch.full_like(guess, torch.nan)
    old_h = torch.full_like(guess, torch.nan)
    for _ in range(PASSES):
        rows = open_rows
        e = guess[rows]
        relaxation = relax_network(fast, small[rows], e.to(torch.float32), ball, jacobian=jacobian)
        g = closed_form(relaxation, labels[rows], others[rows], needed[rows].to(torch.float32))
        g = g.to(torch.float64).clamp(min=0.0).nan_to_num(0.0)
        low[rows] = torch.maximum(low[rows], torch.minimum(e, g))
        high[rows] = torch.minimum(high[rows], torch.maximum(e, g))
        h = g.clamp(min=SMALLEST).log() - e.log()
        guess[rows] = _next(e, g, h, old_e[rows], old_h[rows], low[rows], high[rows])
        old_e[rows], old_h[rows] = e, h
        done = (high[rows] - low[rows] <= TOLERANCE * high[rows]) | (guess[rows] < SMALLEST)
        open_rows = rows[~done]
        if len(open_rows) == 0:
            break
    relaxation = relax_network(network, images, guess, ball, jacobian=jacobian)
    return torch.minimum(closed_form(relaxation, labels, others, needed), guess)


def _next(
    e: Tensor, g: Tensor, h: Tensor, old_e: Tensor, old_h: Tensor, low: Tensor, high: Tensor
) -> Tensor:
    """Return the next radius to try: a secant on h over log e, kept within the bracket."""
    fallback = torch.where(g > SMALLEST, (e * g.clamp(min=SMALLEST)).sqrt(), e * 0.25)
    slope = (h - old_h) / (e.log() - old_e.log())
    secant = torch.exp(e.log() - h / slope)
    usable = secant.isfinite() & (slope < -1e-3)
    guess = torch.where(usable, secant, fallback)
    return torch.minimum(torch.maximum(guess, low), high)
