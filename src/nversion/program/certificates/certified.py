"""Certified votes: radii within which no change of the image changes a program's verdict.

A voter has a certificate if a function is registered for its class
(:mod:`nversion.program.certificates.registry`):

- ``mean-logits``: the mean of the versions' logits is itself one network, with the versions as
  branches, and the network certifier bounds it as a whole. Where it cannot, the versions' margins
  are bounded one by one and averaged.
- ``mean-softmax`` and ``median-softmax``: bounds of each version's margins over the ball give
  bounds of its softmax, and these a bound of the vote's lead
  (:mod:`nversion.program.certificates.leads`).
- ``trimmed-mean`` and ``maximum-confidence``: likewise.
- ``plurality``, ``majority``, ``k-of-n`` and ``consensus``: order statistics of the versions' radii
  (:func:`nversion.program.certificates.leads.certified_vote_radii`), then bettered by what no
  version can vote for.
- ``borda``: which classes each version is sure to rank below which
  (:mod:`nversion.program.certificates.ranks`).

Where the program has an abstention, its verdict must moreover not be withheld
(:mod:`nversion.program.certificates.abstaining`).

The certificate is for the true voter as it is evaluated: the bounds of every version's margins are
of its own evaluation (:mod:`nversion.certification.bounds.evaluation`), and rounding in the vote is
added (:mod:`nversion.program.certificates.leads`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.arguments import typed
from nversion.certification.ball import Ball, parse_norm
from nversion.certification.network.faithful import refuse_additions
from nversion.certification.rounding import rounded_down
from nversion.errors import InputError
from nversion.models import check_images, check_labels
from nversion.modes import ordinary
from nversion.program.certificates import (  # noqa: F401  (registers the certificates)
    counts,
    joined,
    ranks,
    softmaxes,
)
from nversion.program.certificates.abstaining import guard_of
from nversion.program.certificates.problem import Box, Options, VoteProblem
from nversion.program.certificates.registry import certificate_of
from nversion.program.faults import said
from nversion.program.model import Program

__all__ = ["certify_program"]


@typed
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

    A radius is infinite where no image in the box has another verdict.

    Args:
        program: versions that :func:`nversion.certify` can bound, and a voter with a certificate.
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count]; 0 is returned where the program's verdict is another, or none.
        norm: 1, 2 or infinity (a float, or "inf").
        method: of the bounds: "interval", "linear" or "alpha".
        box: the range of valid pixels, which changed images keep; None for the plain ball.
        steps: how many times "alpha" improves its slopes.
        start: the radii to begin a search with, floating [count], where they are guessed already,
            as from those of the versions; 0 where they are not. They cost or save time only.

    Raises:
        InputError: a malformed argument, or there is no certificate for the voter, or for its
            abstention; or a version is voted out on some image.
        UnsupportedModuleError: a version holds a module that cannot be bounded; it is named.
            :func:`nversion.certification.smoothing.certify_smoothing` certifies any program.
    """
    certificate, guard = certificate_of(program.voter), guard_of(program)
    check_images(images)
    check_labels(labels, len(images))
    ball = Ball(parse_norm(norm), box)
    refuse_additions(program)
    radii = torch.zeros(len(images), dtype=torch.float64)
    if len(images) == 0:
        return rounded_down(radii)
    if start is not None and start.shape != labels.shape:
        raise InputError(f"start must be [{len(labels)}], one radius per image")
    program = program.read(tuple(images.shape[1:]))
    verdict = program.vote(images)
    if verdict.faults:
        raise InputError(
            f"{said(verdict.faults)}; a vote is certified only where all versions have a voice: "
            "leave it out"
        )
    problem = VoteProblem.of(program, images, labels, ball, Options(method, steps), start)
    rows = (verdict.labels == problem.labels).nonzero().squeeze(1)
    if len(rows):
        part = problem.rows(rows)
        found = certificate(program, part)
        if guard is not None:
            found = torch.minimum(found, guard(program, part))
        if box is not None:
            # The ball holds every valid image.
            found = torch.where(found >= problem.limit[rows], torch.inf, found)
        radii[rows] = found
    return rounded_down(radii).to(images.device)
