"""The certificate of votes that are counted: at which radii enough versions are sure of theirs.

Order statistics of the versions' own radii are a first one, bettered by what no version can vote
for (:mod:`nversion.program.certificates.leads`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.program.certificates.leads import certified_vote_radii, vote_leads
from nversion.program.certificates.problem import VoteProblem
from nversion.program.certificates.radius_search import search_radius
from nversion.program.certificates.registry import certifies
from nversion.program.model import Program
from nversion.program.voters import Consensus, KOfN, Majority, Plurality
from nversion.program.voters.base import VoteCounter

__all__ = ["radii_of_votes", "voted_radii"]


@certifies(Plurality, Majority, KOfN, Consensus)
def voted_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the label keeps the most votes, and enough, float64 [count].

    Where the label leads by a vote, consensus breaks no tie.
    """
    assert isinstance(program.voter, VoteCounter), "certifies() names no other"
    return radii_of_votes(program, problem, program.voter.votes_needed(program.worths))


def radii_of_votes(
    program: Program, problem: VoteProblem, needed: float, ahead: float = 0.0
) -> Tensor:
    """Return radii within which the label keeps so many votes, float64 [count].

    Args:
        program: the versions and their weights.
        problem: the images.
        needed: votes that the label must have, at least.
        ahead: by how many votes at least it must be ahead of every other class; more than 0 where
            this is 0.
    """
    worth = program.worths
    own = torch.stack(
        [
            problem.certify(model, problem.classes[place])
            for place, model in enumerate(program.models)
        ]
    )
    proven = torch.zeros(len(problem.labels), dtype=torch.float64)
    if ahead <= 0.0:
        proven = certified_vote_radii(
            own, problem.classes, problem.labels, weights=worth, needed=needed
        )

    def judged(bounds: Tensor, part: VoteProblem) -> Tensor:
        # Votes come in jumps, so only the sign tells anything: the search then bisects.
        lead = vote_leads(bounds, part.labels, part.classes, worth, needed, ahead)
        holds = lead > 0
        return torch.where(holds, 1.0, -1.0)

    def leads(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        bounds = part.member_bounds(program, part.classes, radii)
        return judged(bounds, part)

    at_zero = judged(problem.margins(problem.classes), problem)
    start = torch.where(proven > 0, proven * 1.05, problem.first)
    return search_radius(leads, at_zero, start, problem.limit, proven=proven)
