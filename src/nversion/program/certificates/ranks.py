"""The certificate of Borda's count: which classes a version is sure to rank below others.

With lower bounds over a ball m[v, j] <= z[label] - z[j] and n[v, j] <= z[c] - z[j], c being the
version's own class at the ball's centre: the label has at least a point for each j with m[j] > 0;
and j has at most one for each class but itself, the label where m[j] > 0, and c where n[j] > 0. The
difference is a lower bound of what the version gives the label more than j.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.program.certificates.problem import VoteProblem
from nversion.program.certificates.radius_search import search_radius
from nversion.program.certificates.registry import certifies
from nversion.program.model import Program
from nversion.program.voters import Borda

__all__ = ["point_leads", "ranked_radii"]

SURE = 1e-6
"""A margin above this shows in probabilities, which are float32..."""

LOWEST = 60.0
"""...of classes whose probability is not below exp(-60), say, where they keep all their digits."""


@certifies(Borda)
def ranked_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the label keeps the most points, float64 [count]."""
    worth = program.worths

    def judged(margins: Tensor, own: Tensor, part: VoteProblem) -> Tensor:
        # Points come in jumps, so only the sign tells anything: the search then bisects.
        found = point_leads(margins, own, part.labels, part.classes, worth)
        return torch.where(found > 0, 1.0, -1.0)

    def leads(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        margins = part.member_bounds(program, part.labels.expand(part.logits.shape[:2]), radii)
        own = part.member_bounds(program, part.classes, radii, margins)
        return judged(margins, own, part)

    at_zero = judged(problem.margins(problem.labels), problem.margins(problem.classes), problem)
    return search_radius(leads, at_zero, problem.first, problem.limit)


def point_leads(
    margins: Tensor, own: Tensor, labels: Tensor, classes: Tensor, weights: Tensor
) -> Tensor:
    """Return lower bounds of the label's lead in points, float64 [count].

    Args:
        margins: lower bounds m, [versions, count, classes]; the label's column is not read.
        own: lower bounds n, of the same shape; the column of the version's class is not read.
        labels: int64 [count].
        classes: the versions' own classes c, int64 [versions, count].
        weights: what each version's points are worth, float64 [versions].
    """
    size = margins.shape[2]
    places = torch.arange(size)
    rival = places != labels[:, None]
    elsewhere = (classes != labels)[:, :, None]
    # What the label's probability cannot fall below decides whether its lead shows in float32.
    odds = torch.where(rival, (-margins).clamp(max=300.0).exp(), 0.0).sum(dim=2, keepdim=True)
    shows = torch.log1p(odds) < LOWEST
    below_label = (margins > SURE) & rival & shows
    below_own = (own > SURE) & (places != classes[:, :, None]) & elsewhere
    points = below_label.sum(dim=2, keepdim=True)
    most = size - 1 - below_label.long() - below_own.long()
    leads = ((points - most) * weights[:, None, None]).sum(dim=0)
    return leads.masked_fill(~rival, torch.inf).amin(dim=1)
