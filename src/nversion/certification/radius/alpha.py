"""Optimised slopes: the lower planes of crossing ReLUs chosen for the margins themselves.

The plane below a ReLU that may be on or off can have any slope between 0 and 1 (between the leaky
slope and 1). Linear bounds choose by the areas; here a few steps of Adam choose the slopes that
give the best margins (after alpha-CROWN, Xu et al. 2021), on the last way back only, where they
cost least. Planes with other slopes are as sound, so only the float64 pass at the end counts.

Before that, the Jacobian's range is tried where linear bounds alone do without it, with two
smaller balls on the way (:mod:`nversion.certification.bounds.smaller_ball`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.ball import per_image
from nversion.certification.bounds.relaxation import Bounding, Relaxation, relax_network
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.network.graph import Network
from nversion.certification.problem import Problem, Rivals
from nversion.certification.radius.effort import choose_effort, useful_stretches
from nversion.certification.radius.proof import linear_losses, prove
from nversion.certification.radius.search import search_radii
from nversion.certification.radius.slopes import Slopes, tunable, with_slopes

__all__ = ["optimised_radii"]

# All measured on the benchmark's networks (``benchmarks/certification.py``).

ROUNDS, LAST_PASSES = 2, 3
"""How often slopes are improved, each time at larger radii; and passes in float64, at the most."""

RATE, DECAY = 0.2, 0.05
"""Adam's first step, and the last as a share of it."""

STEEPNESS = 1.6
"""The slope of the loss over the radius, in logarithms."""

SHARES, SHARES_BACK = (0.2, 5.0), (1.0, 3.0)
"""The losses that a radius is moved on by, and back by, at the most."""

ENOUGH = 0.995
"""The share of a radius that is proved at which the float64 pass is not repeated; and how far
below what the loss says it is, if so."""

SMALLEST_RADIUS = 1e-6


def optimised_radii(
    network: Network, problem: Problem, steps: int, stretches: Stretches | None = None
) -> Tensor:
    """Return sound radii, float64 [count], at least those of the linear bounds.

    Args:
        network: in float64.
        problem: with images in float64.
        steps: of Adam, altogether.
        stretches: of the nodes, where they are known already
            (:func:`nversion.certification.radius.effort.useful_stretches`).
    """
    if stretches is None:
        stretches = useful_stretches(network, problem.ball, thorough=True)
    usual = choose_effort(network, problem.ball)
    best = search_radii(network, problem, stretches=stretches)
    if choose_effort(network, problem.ball, thorough=True) != usual:
        thorough = search_radii(network, problem, thorough=True, stretches=stretches)
        best = torch.maximum(best, thorough)
    if not tunable(network) or not bool((best > 0).any()):
        return best
    use = Bounding(jacobian=usual.jacobian, settled=0.0, stretches=stretches)
    radii, slopes = _improved(network.to(torch.float32), problem, best, use, steps)
    for _ in range(LAST_PASSES):
        relaxation = relax_network(network, problem.region(radii), use)
        proof = prove(with_slopes(relaxation, slopes), problem.rivals)
        best = torch.maximum(best, torch.minimum(proof.radii, radii))
        if bool((best >= ENOUGH * radii).all()):
            break
        radii = torch.maximum(radii * ENOUGH * _moved(proof.loss.clamp(*SHARES_BACK)), best)
    return best


def _improved(
    network: Network, problem: Problem, best: Tensor, use: Bounding, steps: int
) -> tuple[Tensor, Slopes]:
    """Return radii in reach of better slopes, float64 [count], and these slopes.

    Args:
        network: in float32.
        problem: the images.
        best: radii that are proved already.
        use: what passes may use.
        steps: of Adam, altogether.
    """
    small, radii = problem.to(torch.float32), best.clamp(min=SMALLEST_RADIUS)
    slopes: Slopes = {}
    for _ in range(ROUNDS):
        relaxation = relax_network(network, small.region(radii), use)
        slopes = slopes or {i: relaxation.planes[i].lower for i in tunable(network)}
        slopes, loss = _optimise(relaxation, problem.rivals, slopes, steps // ROUNDS)
        share = loss.to(torch.float64).clamp(*SHARES)
        radii = torch.maximum(radii * _moved(share), best)
    return radii, slopes


def _moved(loss: Tensor) -> Tensor:
    """Return by what to multiply a radius for the loss to become 1."""
    return loss.pow(-1.0 / STEEPNESS)


def _optimise(
    relaxation: Relaxation, rivals: Rivals, slopes: Slopes, steps: int
) -> tuple[Slopes, Tensor]:
    """Improve slopes by Adam; return the best for each image and their losses [count]."""
    best = {index: value.clone() for index, value in slopes.items()}
    best_loss = torch.full_like(relaxation.logits[:, 0], torch.inf)
    with torch.enable_grad():
        leaves = {index: value.clone().requires_grad_(True) for index, value in slopes.items()}
        adam = torch.optim.Adam(leaves.values(), lr=RATE)
        schedule = torch.optim.lr_scheduler.ExponentialLR(adam, DECAY ** (1.0 / max(steps, 1)))
        for _ in range(steps):
            loss = linear_losses(with_slopes(relaxation, leaves), rivals)
            better = loss.detach() < best_loss
            best_loss = torch.where(better, loss.detach(), best_loss)
            for index, leaf in leaves.items():
                mask = per_image(better, leaf)
                best[index] = torch.where(mask, leaf.detach(), best[index])
            adam.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
            schedule.step()
            with torch.no_grad():
                for leaf in leaves.values():
                    leaf.clamp_(0.0, 1.0)
    return best, best_loss
