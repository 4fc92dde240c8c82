"""The certificate of votes that are counted: at which radii enough versions are sure of theirs.

Order statistics of the versions' own radii are a first one, bettered by what no version can vote
for (:mod:`nversion.program.certificates.leads`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.program.certificates.leads import certified_vote_radii, vote_leads
from nversion.program.certificates.problem import Problem
from nversion.program.certificates.radius_search import search_radius
from nversion.program.certificates.registry import certifies
from nversion.program.model import Program
from nversion.program.voters import KOfN, Majority
from nversion.program.voters.base import PROBABILITY_STEP, on_grid

__all__ = ["voted_radii"]


@certifies(Majority, KOfN)
def voted_radii(program: Program, problem: Problem) -> Tensor:
    """Return radii within which the label keeps the most votes, and enough, float64 [count]."""
    needed = program.voter.threshold(len(program.models))
    worth = torch.ones(len(program.models), dtype=torch.float64)
    if program.weights is not None:
        worth = on_grid(program.weights, None, PROBABILITY_STEP)
    own = torch.stack(
        [
            problem.certify(model, problem.classes[place])
            for place, model in enumerate(program.models)
        ]
    )
    proven = certified_vote_radii(
        own, problem.classes, problem.labels, weights=worth, needed=needed
    )

    def judged(bounds: Tensor, part: Problem) -> Tensor:
        # Votes come in jumps, so only the sign tells anything: the search then bisects.
        holds = vote_leads(bounds, part.labels, part.classes, worth, needed) > 0
        return torch.where(holds, 1.0, -1.0)

    def leads(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        bounds = part.member_bounds(program, part.classes, radii)
        return judged(bounds, part)

    at_zero = judged(problem.margins(problem.classes), problem)
    start = torch.where(proven > 0, proven * 1.05, problem.first)
    return search_radius(leads, at_zero, start, problem.limit, proven=proven)
