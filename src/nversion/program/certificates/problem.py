"""What a certificate of a vote works on: images, and bounds of the versions' margins there."""

from __future__ import annotations

import dataclasses
import math
from typing import Self

import torch
from torch import Tensor, nn

from nversion.certification import MarginBounds, certify
from nversion.certification.ball import LARGEST_RADIUS, Ball
from nversion.certification.inputs import Box
from nversion.certification.problem import Problem, Rivals
from nversion.models import check_labels, evaluate, frozen
from nversion.program.model import Program

__all__ = ["Box", "Options", "VoteProblem"]

FIRST_RADIUS = {1.0: 0.3, 2.0: 0.1, math.inf: 0.02}


@dataclasses.dataclass(frozen=True)
class Options:
    """How versions are bounded, as :func:`nversion.certification.certify` has it.

    Attributes:
        method: "interval", "linear" or "alpha".
        steps: how many times "alpha" improves its slopes.
    """

    method: str
    steps: int


@dataclasses.dataclass(frozen=True)
class VoteProblem(Problem):
    """Images whose verdict is to be certified, on the CPU, and what the versions make of them.

    Attributes:
        logits: float64 [versions, count, classes].
        options: how versions are bounded.
        start: radii to begin a search with, float64 [count], 0 where there are none; None: none.
        bounded: what bounds the margins of the modules that were asked about so far.
    """

    logits: Tensor
    options: Options
    start: Tensor | None
    bounded: dict[nn.Module, MarginBounds] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(
        cls,
        program: Program,
        images: Tensor,
        labels: Tensor,
        ball: Ball,
        options: Options,
        start: Tensor | None,
    ) -> VoteProblem:
        """Return the problem of some images; the arguments are those of `certify_program`."""
        images, labels = images.detach().cpu(), labels.cpu()
        with frozen(program):
            logits = torch.stack([evaluate(model, images) for model in program.models]).double()
        check_labels(labels, len(images), logits.shape[2])
        start = None if start is None else start.detach().cpu().double()
        rivals = Rivals.all(labels, logits.shape[2])
        return cls(images, rivals, ball, logits, options, start)

    def rows(self, chosen: Tensor) -> Self:
        """Return the same problem of some of the images, chosen by their numbers int64 [rows]."""
        return dataclasses.replace(
            super().rows(chosen),
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
        norm, box = self.ball.norm, self.ball.box
        if box is None:
            largest = LARGEST_RADIUS[norm]
        else:
            largest = self.images[0].numel() ** (1 / norm) * (box[1] - box[0])
        return torch.full((len(self.images),), largest, dtype=torch.float64)

    @property
    def first(self) -> Tensor:
        """Radii to begin a search with, float64 [count]."""
        usual = torch.full((len(self.images),), FIRST_RADIUS[self.ball.norm], dtype=torch.float64)
        return usual if self.start is None else torch.where(self.start > 0, self.start, usual)

    def certify(self, model: nn.Module, labels: Tensor) -> Tensor:
        """Return one module's certified radii, float64 [count]."""
        found = certify(
            model,
            self.images,
            labels,
            self.ball.norm,
            method=self.options.method,
            box=self.ball.box,
            steps=self.options.steps,
        )
        return found.double()

    def bounds(self, model: nn.Module, labels: Tensor, radii: Tensor) -> Tensor:
        """Return lower bounds of one module's margins, float64 [count, classes]."""
        if model not in self.bounded:
            self.bounded[model] = MarginBounds(
                model,
                tuple(self.images.shape[1:]),
                self.ball.norm,
                box=self.ball.box,
                method=self.options.method,
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
