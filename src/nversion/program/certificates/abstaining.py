"""What an abstention leaves of a certificate: radii within which the verdict is not withheld.

A certificate of a voter says that the label keeps winning. Where the program has an abstention, the
verdict must also stay sure enough, and the smaller of both radii counts.

- **By agreement**, for every voter: the versions whose own class is the label, and stays so, are at
  least as many as have to agree at the m-th largest of the versions' radii for the label.
- **By margin**, for the mean softmax and for votes that are counted, whose probabilities are what
  is added up: the lead itself must stay above the threshold.
- By entropy, and by margin for other voters, there is none, and it is refused by name.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.program.abstention import Abstention
from nversion.program.certificates.counts import radii_of_votes
from nversion.program.certificates.problem import VoteProblem
from nversion.program.certificates.softmaxes import mean_lead_radii
from nversion.program.model import Program
from nversion.program.voters import Consensus, KOfN, Majority, MeanSoftmax, Plurality

__all__ = ["Guard", "guard_of"]

Guard = Callable[[Program, VoteProblem], Tensor]
"""Takes a program and images whose verdict is their label, and returns radii float64 [count] within
which the verdict is not withheld, if it is the label."""


def guard_of(program: Program) -> Guard | None:
    """Return what certifies that the verdict is not withheld; None where it never is.

    Raises:
        InputError: there is no certificate for the program's abstention.
    """
    abstention = program.abstention
    if abstention is None:
        return None
    if abstention.by == "agreement":
        return functools.partial(_agreeing_radii, abstention)
    kind = type(program.voter)
    if abstention.by == "margin" and kind is MeanSoftmax:
        return functools.partial(_mean_margins, abstention)
    if abstention.by == "margin" and kind in (Plurality, Majority, KOfN, Consensus):
        return functools.partial(_vote_margins, abstention)
    raise InputError(
        f"there is no certificate for {program.voter.name} with an abstention by {abstention.by}; "
        "there is one by agreement for every voter that is certified, and one by margin for "
        "mean-softmax, plurality, majority, k-of-n and consensus; randomised smoothing certifies "
        "any"
    )


def _agreeing_radii(abstention: Abstention, program: Program, problem: VoteProblem) -> Tensor:
    needed = abstention.votes(len(program.models))
    if needed == 0:
        return torch.full((len(problem.labels),), math.inf, dtype=torch.float64)
    own = torch.stack([problem.certify(model, problem.labels) for model in program.models])
    return own.sort(dim=0, descending=True).values[needed - 1]


def _mean_margins(abstention: Abstention, program: Program, problem: VoteProblem) -> Tensor:
    return mean_lead_radii(program, problem, abstention.threshold)


def _vote_margins(abstention: Abstention, program: Program, problem: VoteProblem) -> Tensor:
    total = float(program.worths.sum())
    return radii_of_votes(program, problem, -math.inf, abstention.threshold * total)
