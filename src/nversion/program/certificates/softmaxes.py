"""The certificates of voters on softmax outputs, which the versions' margins bound."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nversion.program.certificates.leads import mean_softmax_leads, monotone_leads
from nversion.program.certificates.problem import VoteProblem
from nversion.program.certificates.radius_search import search_radius
from nversion.program.certificates.registry import certifies
from nversion.program.model import Program
from nversion.program.voters import MaximumConfidence, MeanSoftmax, MedianSoftmax, TrimmedMean
from nversion.program.voters.median import maximum, median, trimmed_mean

__all__ = [
    "Leads",
    "maximum_radii",
    "mean_lead_radii",
    "mean_radii",
    "median_radii",
    "monotone_radii",
    "trimmed_radii",
]

Leads = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""Lower bounds of a vote's lead [count] from those of the margins, those of the own margins, the
labels and the versions' own classes, as :func:`nversion.program.certificates.leads` has them."""


@certifies(MeanSoftmax)
def mean_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the label keeps the largest mean probability, float64 [count]."""
    return mean_lead_radii(program, problem, 0.0)


def mean_lead_radii(program: Program, problem: VoteProblem, ahead: float) -> Tensor:
    """Return radii within which the label leads in mean probability by so much, [count]."""

    def leads(margins: Tensor, own: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
        return mean_softmax_leads(margins, own, labels, classes, program.shares) - ahead

    return _radii(program, problem, leads)


@certifies(MedianSoftmax)
def median_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the label keeps the largest median probability, float64 [count]."""
    return monotone_radii(program, problem, median)


@certifies(TrimmedMean)
def trimmed_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the label keeps the largest trimmed mean, float64 [count]."""
    voter = program.voter
    assert isinstance(voter, TrimmedMean)
    return monotone_radii(program, problem, lambda values: trimmed_mean(values, voter.trim))


@certifies(MaximumConfidence)
def maximum_radii(program: Program, problem: VoteProblem) -> Tensor:
    """Return radii within which the label keeps the largest maximum, float64 [count]."""
    return monotone_radii(program, problem, maximum)


def monotone_radii(
    program: Program, problem: VoteProblem, scores: Callable[[Tensor], Tensor]
) -> Tensor:
    """Return radii within which the label keeps the largest score, float64 [count].

    Args:
        program: the versions, all of one weight.
        problem: the images.
        scores: of a class, by the versions' probabilities of it alone; see
            :func:`nversion.program.certificates.leads.monotone_leads` for what is asked of it.
    """

    def leads(margins: Tensor, own: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
        return monotone_leads(scores, margins, own, labels, classes)

    return _radii(program, problem, leads)


def _radii(program: Program, problem: VoteProblem, judged: Leads) -> Tensor:
    def leads(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        margins = part.member_bounds(program, part.labels.expand(part.logits.shape[:2]), radii)
        own = part.member_bounds(program, part.classes, radii, margins)
        return judged(margins, own, part.labels, part.classes)

    at_zero = judged(
        problem.margins(problem.labels),
        problem.margins(problem.classes),
        problem.labels,
        problem.classes,
    )
    start = problem.first
    if problem.start is None:
        first = problem.certify(program.models[0], problem.labels)
        start = torch.where(first > 0, first, start)
    return search_radius(leads, at_zero, start, problem.limit)
