"""Where a search begins, and how many images at once."""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.certification.ball import dual_norm
from nversion.certification.network.graph import Convolution, Network
from nversion.certification.problem import Problem
from nversion.certification.rows.patches import BLOCK

__all__ = ["images_per_pass", "local_radii"]

LINEARISED = 4
"""The nearest classes by their margins, which the linearised network is asked about; measured on
the benchmark's networks to be enough for a first guess."""

LEAST_GRADIENT = 1e-12
GUESSES = (1e-6, 1e3)
"""In place of what no search can begin at."""

MOST_IMAGES = 64
DENSE_WINDOW = 16
"""How many times its neurons a layer without windows counts."""


def images_per_pass(network: Network) -> int:
    """Return how many images to bound together: few where layers are large."""
    largest = max(
        int(torch.Size(node.shape).numel())
        * (node.weight[0].numel() if isinstance(node, Convolution) else DENSE_WINDOW)
        for node in network.nodes
    )
    return min(MOST_IMAGES, max(1, 2 * BLOCK // largest))


def local_radii(network: Network, problem: Problem) -> Tensor:
    """Return about the radii at which the network's linearisation changes its verdict, [count]."""
    with torch.enable_grad():
        leaf = problem.images.detach().requires_grad_(True)
        margins = problem.rivals.leads(network.forward(leaf)[-1])
        margins = margins.sort(dim=1).values[:, :LINEARISED]
        best = torch.full_like(margins[:, 0], torch.inf)
        for i in range(margins.shape[1]):
            (gradient,) = torch.autograd.grad(margins[:, i].sum(), leaf, retain_graph=True)
            size = dual_norm(gradient.flatten(1), problem.ball.norm).clamp(min=LEAST_GRADIENT)
            best = torch.minimum(best, margins[:, i].detach() / size)
    return best.clamp(*GUESSES)
