"""The SLSQP attack: the smallest change under the constraint of misclassification.

As the study's Table I has it, after Foolbox: minimise |x - x0|^2 subject to x being adversarial and
in [0, 1], by sequential least-squares quadratic programming (Kraft 1988, "A software package for
sequential quadratic programming", DFVLR-FB 88-28). Foolbox hands that solver a constraint that is
0 or 1, whose numerical derivative is zero, so it returns the noise it started from. Here the
constraint is the margin (largest other logit minus the label's) with its true gradient.

Kept of Kraft's method: each iteration linearises the constraint and solves a least-squares problem
with bounds exactly. Replaced:

- The solver. The objective's Hessian is 2 I and known, so that no BFGS matrix is needed, and the
  problem has a closed form (:mod:`nversion.attacks.linearised`), where Kraft's dense solver takes
  seconds an image.
- The line search on a merit function. The constraint is the running mean of the linearisations, the
  steps towards the solutions shrink over the iterations, and the margin asked for falls while the
  iterates are adversarial and rises while they are not.
- The start. The problem is not convex; each of the few wrong classes with the nearest linearised
  boundary starts a run of its own, from the original. What is returned is the nearest adversarial
  iterate of all runs, drawn back along the line to the original.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.base import Attack, check_count
from nversion.attacks.criteria import excess_margins, margins
from nversion.attacks.linearised import RELAX, TIGHTEN, Linearised, step_share
from nversion.attacks.nearest import Nearest, nearest_classes
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import drawn_in
from nversion.attacks.registry import register

__all__ = ["SLSQP"]

FIRST_EXTRA = 0.02
"""Margin asked for at first, as a share of how far the original's lies below zero."""

STRIVE = 1.5
"""Factor of the margin asked for after an iterate where none has been adversarial yet."""


@register
@dataclasses.dataclass(frozen=True)
class SLSQP(Attack):
    """Minimise |x - x0|^2 subject to a margin of at least 0, by least-squares programmes.

    Attributes:
        iterations: linearisations of the margin in each run.
        classes: runs, each beginning with another wrong class.
    """

    iterations: int = 30
    classes: int = 3

    name: ClassVar[str] = "slsqp"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Kraft 1988"

    def __post_init__(self) -> None:
        check_count("iterations", self.iterations)
        check_count("classes", self.classes)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        values, normals = nearest_classes(oracle, images, labels, self.classes)
        nearest = Nearest(images)
        for run in range(values.shape[1]):
            self._run(oracle, nearest, labels, values[:, run], normals[:, run])
        return drawn_in(oracle, images, nearest.points, labels)

    def _run(
        self, oracle: Oracle, nearest: Nearest, labels: Tensor, values: Tensor, normals: Tensor
    ) -> None:
        """Improve on `nearest`, beginning with a linear model of the margin at the originals."""
        originals = nearest.originals
        rows = torch.arange(len(originals), device=originals.device)
        points, extra = originals, FIRST_EXTRA * values.abs()
        met = torch.zeros_like(values, dtype=torch.bool)
        model = Linearised(originals, values, normals)
        for step in range(self.iterations):
            if step > 0:
                logits, gradients = oracle.gradient(points, lambda z, k: margins(z, labels[k]))
                excess = excess_margins(logits, labels, oracle.dtype)
                excess = excess.nan_to_num(-1.0, -1.0, -1.0)
                held, changes = excess > 0, points - originals
                nearest.keep(rows, points, held, sums(changes.square()))
                model.add(changes, excess, gradients)
                met |= held
                tighten = torch.where(met, TIGHTEN, STRIVE)
                extra = extra * torch.where(held, RELAX, tighten)
            share = step_share(step, self.iterations)
            points = points + share * (model.nearest(extra) - points)
