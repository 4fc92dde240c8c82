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

from nversion.certification.ball import Ball
from nversion.certification.bounds.relaxation import Relaxation, relax_network
from nversion.certification.lipschitz.stretches import Stretches
from nversion.certification.network.graph import Network
from nversion.certification.radius.effort import choose_effort, useful_stretches
from nversion.certification.radius.proof import prove
from nversion.certification.radius.search import search_radii
from nversion.certification.radius.slopes import tunable, with_slopes
from nversion.certification.rows.walk import least, margin_rows, walk

__all__ = ["optimised_radii"]

ROUNDS = 2
RATE = 0.2
STEEPNESS = 1.6
LAST_PASSES = 3


def _optimise(
    relaxation: Relaxation,
    labels: Tensor,
    others: Tensor,
    slopes: dict[int, Tensor],
    steps: int,
) -> tuple[dict[int, Tensor], Tensor]:
    """Improve slopes by Adam; return the best for each image and their losses [count]."""
    rows = margin_rows(relaxation.network, labels, others)
    last = len(relaxation.network.nodes) - 1
    margins = (rows.a @ relaxation.logits[:, :, None]).squeeze(2).clamp(min=1e-9)
    best = {index: value.clone() for index, value in slopes.items()}
    best_loss = torch.full_like(margins[:, 0], torch.inf)
    with torch.enable_grad():
        leaves = {index: value.clone().requires_grad_(True) for index, value in slopes.items()}
        adam = torch.optim.Adam(leaves.values(), lr=RATE)
        schedule = torch.optim.lr_scheduler.ExponentialLR(adam, 0.05 ** (1.0 / max(steps, 1)))
        for _ in range(steps):
            chosen = with_slopes(relaxation, leaves)
            back = walk(chosen.network, last, rows, chosen.planes)
            lower = least(back, chosen.images, chosen.radii, chosen.ball)[0]
            loss = ((margins - lower) / margins).amax(dim=1)
            better = loss.detach() < best_loss
            best_loss = torch.where(better, loss.detach(), best_loss)
            for index, leaf in leaves.items():
                mask = better.reshape(-1, *([1] * (leaf.ndim - 1)))
                best[index] = torch.where(mask, leaf.detach(), best[index])
            adam.zero_grad()
            loss.sum().backward()  # type: ignore[no-untyped-call]
            adam.step()
            schedule.step()
            with torch.no_grad():
                for leaf in leaves.values():
                    leaf.clamp_(0.0, 1.0)
    return best, best_loss


def optimised_radii(
    network: Network,
    images: Tensor,
    labels: Tensor,
    others: Tensor,
    ball: Ball,
    steps: int,
    stretches: Stretches | None = None,
) -> Tensor:
    """Return sound radii, float64 [count], at least those of the linear bounds.

    Args:
        network: in float64.
        images: float64 [count, *shape].
        labels: int64 [count].
        others: int64 [count, rows], the classes that must stay below.
        ball: the norm and the box.
        steps: of Adam, altogether.
        stretches: of the nodes, where they are known already
            (:func:`nversion.certification.radius.effort.useful_stretches`).
    """
    given = (network, images, labels, others, ball)
    if stretches is None:
        stretches = useful_stretches(network, ball, thorough=True)
    best = search_radii(*given, stretches=stretches)
    if choose_effort(network, ball, thorough=True) != choose_effort(network, ball):
        best = torch.maximum(best, search_radii(*given, thorough=True, stretches=stretches))
    tuned = tunable(network)
    if not tuned or not bool((best > 0).any()):
        return best
    jacobian = choose_effort(network, ball).jacobian

    def relaxed(network: Network, images: Tensor, radii: Tensor) -> Relaxation:
        return relax_network(
            network, images, radii, ball, jacobian=jacobian, settled=0.0, stretches=stretches
        )

    fast, small = network.to(torch.float32), images.to(torch.float32)
    e = best.clamp(min=1e-6)
    slopes: dict[int, Tensor] = {}
    for _ in range(ROUNDS):
        relaxation = relaxed(fast, small, e.to(torch.float32))
        slopes = slopes or {i: relaxation.planes[i].lower for i in tuned}
        slopes, loss = _optimise(relaxation, labels, others, slopes, steps // ROUNDS)
        share = loss.to(torch.float64).clamp(0.2, 5.0)
        e = torch.maximum(e * share.pow(-1.0 / STEEPNESS), best)
    for _ in range(LAST_PASSES):
        relaxation = relaxed(network, images, e)
        proof = prove(with_slopes(relaxation, slopes), labels, others)
        best = torch.maximum(best, torch.minimum(proof.radii, e))
        if bool((best >= 0.995 * e).all()):
            break
        e = torch.maximum(e * 0.995 * proof.loss.clamp(1.0, 3.0).pow(-1.0 / STEEPNESS), best)
    return best
