"""SuperDeepFool (Abdolahpourrostam, Abroshan & Moosavi-Dezfooli 2024), SDF(inf, 1).

"SuperDeepFool: a new family of fast minimum-norm attacks", NeurIPS 2024. At the smallest
adversarial change, the change is parallel to the boundary's normal; DeepFool ends on the boundary,
but not there. So DeepFool runs until the model is fooled, and its change is then projected onto the
normal at the point where it came out; that repeats from the projected point until that one fools
the model itself. Chosen here:

- Every image alternates at its own pace: a DeepFool step where its point is not adversarial, else
  the projection. Each adversarial point counts, and the nearest is the result.
- The first DeepFool step looks at the likeliest classes, later ones at the boundaries that were the
  nearest then, as in :mod:`nversion.attacks.deepfool`.
- The result is improved by linear models of the margin (:mod:`nversion.attacks.polish`);
  `refinements=0` leaves what the algorithm found.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, sums
from nversion.attacks.base import Attack, check_count
from nversion.attacks.deepfool import DeepFool
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.record import Record
from nversion.attacks.registry import register

__all__ = ["SuperDeepFool"]

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class SuperDeepFool(Attack):
    """DeepFool, and projections of its change onto the boundary's normal.

    Attributes:
        steps: of DeepFool, at the most, projections not counted.
        subsample: how many of the likeliest classes are looked at, the label's among them.
        followed: how many of their boundaries, the nearest, are followed after the first step.
        refinements: steps on the linearised margin at the end.
    """

    steps: int = 30
    subsample: int = 10
    followed: int = 3
    refinements: int = 20

    name: ClassVar[str] = "superdeepfool"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Abdolahpourrostam et al. 2024"
    targetable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("subsample", self.subsample, low=2)
        check_count("followed", self.followed)
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        self._walk(goal, record)
        polish(goal, record, self.refinements)
        return record.points

    def _walk(self, goal: Goal, record: Record) -> None:
        """Take DeepFool's steps and project, and show `record` the points met."""
        walk = DeepFool(self.steps, self.subsample, self.followed, relaxation=1.0)
        points, labels = record.originals.clone(), goal.labels
        classes, past = walk.candidates(goal.oracle, points, labels)
        rows = torch.arange(len(points), device=points.device)
        for _ in range(self.steps):
            given = points[rows], labels[rows], classes, past
            step, order = walk.step(goal.oracle, *given)
            moving = step.flatten(1).ne(0).any(dim=1)
            rows = rows[moving]
            classes, past = classes.gather(1, order)[moving], past.gather(1, order)[moving]
            if len(rows) == 0:
                break
            points[rows] = (points[rows] + step[moving]).clamp(0.0, 1.0)
            done = self._projected(goal, record, points, rows)
            rows, classes, past = rows[~done], classes[~done], past[~done]
            if len(rows) == 0:
                break

    def _projected(self, goal: Goal, record: Record, points: Tensor, rows: Tensor) -> Tensor:
        """Project those of `rows` of `points` that are adversarial; return which are done, bool."""
        lacks, normals = goal.slope(points[rows], rows)
        held = lacks < 0
        record.keep(rows, points[rows], held)
        done = torch.zeros_like(held)
        if not bool(held.any()):
            return done
        fooled, normals = rows[held], normals[held]
        originals = record.originals[fooled]
        squares = sums(normals.square()).clamp(min=TINY)
        along = sums((points[fooled] - originals) * normals) / squares
        points[fooled] = (originals + columns(along) * normals).clamp(0.0, 1.0)
        still = goal.look(points[fooled], fooled) < 0
        record.keep(fooled, points[fooled], still)
        done[held] = still
        return done
