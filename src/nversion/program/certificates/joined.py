"""The certificate of ``mean-logits``: the mean of the versions' logits is itself one network."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from nversion.errors import UnsupportedModuleError
from nversion.models import dtype_of
from nversion.program.certificates.problem import VoteProblem
from nversion.program.certificates.radius_search import search_radius
from nversion.program.certificates.registry import certifies
from nversion.program.model import Program
from nversion.program.voters import MeanLogits
from nversion.program.voters.base import LOG_STEP

__all__ = ["JoinedLogits", "joined_radii"]


@final
class JoinedLogits(nn.Module):
    """The weighted mean of several models' logits, as one module that traces."""

    def __init__(self, models: nn.ModuleList, shares: Tensor) -> None:
        super().__init__()
        self.models = models
        self._shares = shares.tolist()

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits [count, classes]."""
        total: Tensor = self.models[0](images) * self._shares[0]
        for place in range(1, len(self.models)):
            total = total + self.models[place](images) * self._shares[place]
        return total


@certifies(MeanLogits)
def joined_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the joined network keeps its class, float64 [count].

    Where the certifier cannot take it as a whole, the versions' margins are bounded one by one and
    averaged.
    """
    shares = program.shares
    joined = JoinedLogits(program.models, shares)

    def smallest(margins: Tensor, part: VoteProblem) -> Tensor:
        return part.least(margins) - LOG_STEP

    def averaged(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        bounds = part.member_bounds(program, part.labels.expand(part.logits.shape[:2]), radii)
        return smallest((bounds * shares[:, None, None]).sum(dim=0), part)

    def whole(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        return smallest(part.bounds(joined, part.labels, radii), part)

    margins = (problem.margins(problem.labels) * shares[:, None, None]).sum(dim=0)
    at_zero = smallest(margins, problem)
    try:
        found = _whole_radii(joined, problem)
    except UnsupportedModuleError:
        return search_radius(averaged, at_zero, problem.first, problem.limit)
    # The certifier asks nothing of the joined logits but to lead, and a vote's lead must show on
    # its grid, so the radius is checked again, a little below.
    start = torch.minimum(found * 0.999, problem.limit)
    return search_radius(whole, at_zero, start, torch.minimum(found, problem.limit))


def _whole_radii(joined: JoinedLogits, problem: VoteProblem) -> Tensor:
    """Return the radii of the joined network, float64 [count].

    Raises:
        UnsupportedModuleError: it cannot be taken as a whole.
    """
    if len({dtype_of(model) for model in joined.models}) > 1:
        raise UnsupportedModuleError("the versions compute in several precisions")
    return problem.certify(joined, problem.labels)
