"""Certified votes: radii within which no change of the image changes a program's verdict.

- ``mean-logits``: the mean of the versions' logits is itself one network, with the versions as
  branches (:class:`JoinedLogits`), and the network certifier bounds it as a whole. Where it
  cannot, the versions' margins are bounded one by one and averaged.
- ``mean-softmax`` and ``median-softmax``: bounds of each version's margins over the ball give
  bounds of its softmax, and these a bound of the vote's lead
  (:mod:`nversion.program.certificates.leads`).
- ``majority`` and ``k-of-n``: order statistics of the versions' radii
  (:func:`nversion.program.certificates.leads.certified_vote_radii`), then bettered by what no
  version can vote for.

The certificate is for the true voter as it is evaluated: the bounds of every version's margins are
of its own evaluation (:mod:`nversion.certification.evaluation`), and rounding in the vote is added
(:mod:`nversion.program.certificates.leads`).
"""

from __future__ import annotations

import dataclasses
import math
from typing import final

import torch
from torch import Tensor, nn

from nversion.certification import MarginBounds, certify
from nversion.certification.ball import parse_norm
from nversion.certification.faithful import refuse_additions
from nversion.certification.rounding import rounded_down
from nversion.errors import InputError, UnsupportedModuleError
from nversion.models import check_images, check_labels, evaluate, frozen
from nversion.modes import ordinary
from nversion.program.certificates.leads import (
    certified_vote_radii,
    mean_softmax_leads,
    median_softmax_leads,
    vote_leads,
)
from nversion.program.certificates.radius_search import search_radius
from nversion.program.model import Program
from nversion.program.voters import (
    LOG_STEP,
    PROBABILITY_STEP,
    KOfN,
    Majority,
    MeanLogits,
    MeanSoftmax,
    MedianSoftmax,
)

__all__ = ["JoinedLogits", "certify_program"]

Box = tuple[float, float] | None

FIRST_RADIUS = {1.0: 0.3, 2.0: 0.1, math.inf: 0.02}
PLAIN_LIMIT = {1.0: 1e4, 2.0: 1e3, math.inf: 10.0}


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


@ordinary()
def certify_program(
    program: Program,
    images: Tensor,
    labels: Tensor,
    norm: float | str,
    *,
    method: str = "linear",
    box: Box = (0.0, 1.0),
    steps: int = 40,
    start: Tensor | None = None,
) -> Tensor:
    """Return radii within which no change of the image changes the verdict, float32 [count].

    Args:
        program: versions that :func:`nversion.certify` can bound, and any voter.
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count]; 0 is returned where the program's verdict is another, or none.
        norm: 1, 2 or infinity (a float, or "inf").
        method: of the bounds: "interval", "linear" or "alpha".
        box: the range of valid pixels, which changed images keep; None for the plain ball.
        steps: how many times "alpha" improves its slopes.
        start: the radii to begin a search with, floating [count], where they are guessed already,
            as from those of the versions; 0 where they are not. They cost or save time only.

    Raises:
        InputError: a malformed argument.
        UnsupportedModuleError: a version holds a module that cannot be bounded; it is named.
            :func:`nversion.certification.smoothing.certify_smoothing` certifies any program.
    """
    check_images(images)
    check_labels(labels, len(images))
    parse_norm(norm)
    refuse_additions(program)
    radii = torch.zeros(len(images), dtype=torch.float64)
    if len(images) == 0:
        return rounded_down(radii)
    if start is not None and start.shape != labels.shape:
        raise InputError(f"start must be [{len(labels)}], one radius per image")
    program = program.read(tuple(images.shape[1:]))
    problem = _Problem.of(program, images, labels, norm, method, box, steps, start)
    rows = (program.vote(images).labels == problem.labels).nonzero().squeeze(1)
    if len(rows):
        radii[rows] = _radii(program, problem.rows(rows))
    return rounded_down(radii).to(images.device)


@dataclasses.dataclass(frozen=True)
class _Problem:
    """Images to certify, on the CPU, and what the versions make of them.

    `logits` float64 [versions, count, classes]; `bounded`: what bounds the margins of the modules
    that were asked about so far.
    """

    images: Tensor
    labels: Tensor
    logits: Tensor
    norm: float
    method: str
    box: Box
    steps: int
    start: Tensor | None
    bounded: dict[nn.Module, MarginBounds] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        program: Program,
        images: Tensor,
        labels: Tensor,
        norm: float | str,
        method: str,
        box: Box,
        steps: int,
        start: Tensor | None,
    ) -> _Problem:
        images, labels = images.detach().cpu(), labels.cpu()
        with frozen(program):
            logits = torch.stack([evaluate(model, images) for model in program.models]).double()
        check_labels(labels, len(images), logits.shape[2])
        start = None if start is None else start.detach().cpu().double()
        return cls(images, labels, logits, parse_norm(norm), method, box, steps, start)

    def rows(self, chosen: Tensor) -> _Problem:
        return dataclasses.replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            logits=self.logits[:, chosen],
            start=None if self.start is None else self.start[chosen],
        )

    @property
    def classes(self) -> Tensor:
        """The versions' own classes, int64 [versions, count]."""
        return self.logits.argmax(dim=2)

    @property
    def limit(self) -> Tensor:
        """The radii at which the balls hold all valid images, float64 [count]."""
        if self.box is None:
            largest = PLAIN_LIMIT[self.norm]
        else:
            largest = self.images[0].numel() ** (1 / self.norm) * (self.box[1] - self.box[0])
        return torch.full((len(self.images),), largest, dtype=torch.float64)

    @property
    def first(self) -> Tensor:
        """Radii to begin a search with, float64 [count]."""
        usual = torch.full((len(self.images),), FIRST_RADIUS[self.norm], dtype=torch.float64)
        return usual if self.start is None else torch.where(self.start > 0, self.start, usual)

    def certify(self, model: nn.Module, labels: Tensor) -> Tensor:
        """Return one module's certified radii, float64 [count]."""
        found = certify(
            model,
            self.images,
            labels,
            self.norm,
            method=self.method,
            box=self.box,
            steps=self.steps,
        )
        return found.double()

    def bounds(self, model: nn.Module, labels: Tensor, radii: Tensor) -> Tensor:
        """Return lower bounds of one module's margins, float64 [count, classes]."""
        if model not in self.bounded:
            self.bounded[model] = MarginBounds(
                model,
                tuple(self.images.shape[1:]),
                self.norm,
                box=self.box,
                method=self.method,
                images=self.images,
            )
        return self.bounded[model](self.images, labels, radii).double()

    def member_bounds(
        self, program: Program, labels: Tensor, radii: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """Return lower bounds of every version's margins.

        Args:
            program: the versions.
            labels: int64 [versions, count], each version's class that the others must not beat.
            radii: float64 [count].
            known: [versions, count, classes], taken over where `labels` are this problem's.

        Returns:
            float64 [versions, count, classes].
        """
        found = torch.empty_like(self.logits) if known is None else known.clone()
        for place, model in enumerate(program.models):
            todo = labels[place] != self.labels if known is not None else labels[place] >= 0
            rows = todo.nonzero().squeeze(1)
            if len(rows):
                part = self.rows(rows)
                found[place, rows] = part.bounds(model, labels[place][rows], radii[rows])
        return found

    def margins(self, labels: Tensor) -> Tensor:
        """Return the margins at the images themselves."""
        own = self.logits.gather(2, labels.expand(self.logits.shape[:2])[:, :, None])
        return own - self.logits


def _radii(program: Program, problem: _Problem) -> Tensor:
    match program.voter:
        case MeanLogits():
            return _joined_radii(program, problem)
        case Majority() | KOfN():
            return _voted_radii(program, problem)
        case MeanSoftmax() | MedianSoftmax():
            return _softmax_radii(program, problem)
    raise InputError(f"there is no certificate for the voter {program.voter.name}")


def _softmax_radii(program: Program, problem: _Problem) -> Tensor:
    def judged(part: _Problem, margins: Tensor, own: Tensor) -> Tensor:
        if isinstance(program.voter, MedianSoftmax):
            return median_softmax_leads(margins, own, part.labels, part.classes)
        return mean_softmax_leads(margins, own, part.labels, part.classes, program.shares)

    def leads(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        margins = part.member_bounds(program, part.labels.expand(part.logits.shape[:2]), radii)
        own = part.member_bounds(program, part.classes, radii, margins)
        return judged(part, margins, own)

    at_zero = judged(problem, problem.margins(problem.labels), problem.margins(problem.classes))
    start = problem.first
    if problem.start is None:
        first = problem.certify(program.models[0], problem.labels)
        start = torch.where(first > 0, first, start)
    return search_radius(leads, at_zero, start, problem.limit)


def _voted_radii(program: Program, problem: _Problem) -> Tensor:
    needed = program.voter.threshold(len(program.models))
    worth = torch.ones(len(program.models), dtype=torch.float64)
    if program.weights is not None:
        worth = (program.weights / PROBABILITY_STEP).round() * PROBABILITY_STEP
    own = torch.stack(
        [
            problem.certify(model, problem.classes[place])
            for place, model in enumerate(program.models)
        ]
    )
    proven = certified_vote_radii(
        own, problem.classes, problem.labels, weights=worth, needed=needed
    )

    def judged(bounds: Tensor, part: _Problem) -> Tensor:
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


def _joined_radii(program: Program, problem: _Problem) -> Tensor:
    shares = program.shares
    rivals = torch.ones_like(problem.logits[0], dtype=torch.bool)
    rivals = rivals.scatter(1, problem.labels[:, None], False)
    joined = JoinedLogits(program.models, shares)

    def smallest(margins: Tensor, rows: Tensor) -> Tensor:
        return margins.masked_fill(~rivals[rows], torch.inf).amin(dim=1) - LOG_STEP

    def averaged(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        bounds = part.member_bounds(program, part.labels.expand(part.logits.shape[:2]), radii)
        return smallest((bounds * shares[:, None, None]).sum(dim=0), rows)

    def whole(rows: Tensor, radii: Tensor) -> Tensor:
        part = problem.rows(rows)
        return smallest(part.bounds(joined, part.labels, radii), rows)

    margins = (problem.margins(problem.labels) * shares[:, None, None]).sum(dim=0)
    at_zero = smallest(margins, torch.arange(len(problem.labels)))
    try:
        found = problem.certify(joined, problem.labels)
    except UnsupportedModuleError:
        return search_radius(averaged, at_zero, problem.first, problem.limit)
    # The certifier asks nothing of the joined logits but to lead, and a vote's lead must show on
    # its grid, so the radius is checked again, a little below.
    return search_radius(whole, at_zero, found * 0.999, found)
