"""The slopes of the planes below ReLUs that may be on or off: any between 0 and 1 is sound.

:mod:`nversion.certification.planes.relax` chooses by the areas. Which slopes are best for the
margins is told by their gradient. :func:`one_step_better` takes one step along its sign, for the
price of about two more ways back for the margins; :mod:`nversion.certification.radius.alpha` takes
many.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.bounds.relaxation import Relaxation
from nversion.certification.network.graph import Activation, Convolution, Network
from nversion.certification.problem import Problem, Rivals
from nversion.certification.radius.proof import Proof, linear_shares, prove
from nversion.certification.radius.secant import log_loss

__all__ = ["BROUGHT", "BetterSlopes", "Slopes", "one_step_better", "tunable", "with_slopes"]

Slopes = dict[int, Tensor]
"""Of planes below ReLUs, by node, [count, *shape]; NaN for the usual one."""

STEP, DENSE_STEP = 0.5, 0.7
"""The step's length, in general and in stacks of dense layers. A half brings about 1 % of the
margins; a whole one, to the other end, overshoots on stacks of convolutions (measured on the
benchmark's networks)."""

SHARPNESS = 60.0
"""Besides the margin that gives away the largest share, those count that give away almost as much,
lest they be the next: 0.3 % of the radius on one of the benchmark's stacks of convolutions."""

NEAR_ROOT, BROUGHT = 0.1, 0.012
"""Slopes are bettered once the logarithm of the loss is this near to 0: which neurons may be on or
off is then nearly what it is at the root. They lower it by about so much (measured on the
benchmark's networks)."""


def tunable(network: Network) -> list[int]:
    """Return the nodes whose slopes can be chosen: ReLUs, leaky ones too."""
    return [
        index
        for index, node in enumerate(network.nodes)
        if isinstance(node, Activation) and node.function == "relu"
    ]


def with_slopes(relaxation: Relaxation, slopes: Slopes) -> Relaxation:
    """Return the relaxation with other lower slopes where a ReLU may be on or off.

    Args:
        relaxation: of the images.
        slopes: by node, [count, *shape]; values outside the allowed range are moved into it, and
            where they are NaN the relaxation's own stay.
    """
    planes = dict(relaxation.planes)
    for index, raw in slopes.items():
        node = relaxation.network.nodes[index]
        assert isinstance(node, Activation)
        low, high = relaxation.bounds[node.inputs[0]]
        old = planes[index]
        crossing = (low < 0) & (high > 0)
        chosen = raw.clamp(node.slope, 1.0).to(low.dtype)
        lower = torch.where(crossing & ~raw.isnan(), chosen, old.lower)
        down = old.lower - lower
        together = old.together
        if together is not None:
            together = dataclasses.replace(together, rise=together.rise + down)
        planes[index] = dataclasses.replace(
            old, lower=lower, rise=old.rise + down, together=together
        )
    return dataclasses.replace(relaxation, planes=planes)


def one_step_better(relaxation: Relaxation, rivals: Rivals, wanted: Tensor | None = None) -> Slopes:
    """Return slopes that are a step better for the margins that give away the largest shares.

    Args:
        relaxation: of the images, with planes.
        rivals: their labels, and the classes that must stay below.
        wanted: bool [count], the images to do so for; None: all. The others' slopes are NaN.
    """
    if wanted is not None and not bool(wanted.all()):
        rows = wanted.nonzero().squeeze(1)
        found = one_step_better(_some(relaxation, rows), rivals.rows(rows))
        missing = {i: x.new_full((len(wanted), *x.shape[1:]), torch.nan) for i, x in found.items()}
        return {index: missing[index].index_copy(0, rows, x) for index, x in found.items()}
    network = relaxation.network
    windowed = any(isinstance(node, Convolution) for node in network.nodes)
    step = STEP if windowed or len(tunable(network)) == 1 else DENSE_STEP
    with torch.enable_grad():
        leaves = {
            index: relaxation.planes[index].lower.clone().requires_grad_()
            for index in tunable(network)
        }
        shares = linear_shares(with_slopes(relaxation, leaves), rivals)
        loss = (shares * SHARPNESS).logsumexp(dim=1).sum()
        gradients = torch.autograd.grad(loss, list(leaves.values()))
    return {
        index: (leaf.detach() - step * gradient.sign()).clamp(0.0, 1.0)
        for (index, leaf), gradient in zip(leaves.items(), gradients, strict=True)
    }


def _some(relaxation: Relaxation, rows: Tensor) -> Relaxation:
    """Return of a relaxation what its slopes are chosen by, for some of the images."""
    read = {relaxation.network.nodes[index].inputs[0] for index in tunable(relaxation.network)}
    bounds = {
        i: (low[rows], high[rows]) for i, (low, high) in relaxation.bounds.items() if i in read
    }
    return dataclasses.replace(
        relaxation,
        region=relaxation.region.rows(rows),
        planes={index: planes.rows(rows) for index, planes in relaxation.planes.items()},
        bounds=bounds,
        logits=relaxation.logits[rows],
    )


class BetterSlopes:
    """Slopes of the planes below ReLUs, bettered once for each image of a problem.

    Attributes:
        chosen: of all images, NaN for the usual ones; None before there are any.
    """

    def __init__(self, problem: Problem) -> None:
        self._rivals = problem.rivals
        self._waiting = torch.ones_like(problem.labels, dtype=torch.bool)
        self.chosen: Slopes | None = None

    def improve(self, rows: Tensor, relaxation: Relaxation, proof: Proof) -> Proof:
        """Better the slopes of images whose loss is near 1, and return the proof with them.

        Args:
            rows: the numbers of the images, int64 [some].
            relaxation: of these.
            proof: what it proves.
        """
        close = self._waiting[rows] & (log_loss(proof.loss).abs() <= NEAR_ROOT)
        if not bool(close.any()):
            return proof
        self._waiting[rows[close]] = False
        rivals = self._rivals.rows(rows)
        better = one_step_better(relaxation, rivals, close)
        other = prove(with_slopes(relaxation, better), rivals)
        taken = close & (other.loss < proof.loss)
        self._keep(better, rows, taken)
        return Proof(
            torch.where(taken, other.radii, proof.radii),
            torch.where(taken, other.loss, proof.loss),
            torch.where(taken[:, None], other.margins, proof.margins),
        )

    def _keep(self, slopes: Slopes, rows: Tensor, taken: Tensor) -> None:
        if self.chosen is None:
            count = len(self._waiting)
            self.chosen = {
                index: values.new_full((count, *values.shape[1:]), torch.nan)
                for index, values in slopes.items()
            }
        for index, values in slopes.items():
            self.chosen[index][rows[taken]] = values[taken]
