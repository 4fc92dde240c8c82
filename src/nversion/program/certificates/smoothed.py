"""Randomised smoothing of a program's verdict, for any voter and any versions.

:func:`nversion.certification.smoothing.certify_smoothing` takes any module that gives logits. A
program with a soft voter is one; with a hard voter its logits are a surrogate, so what is
smoothed here is the verdict itself, with the abstention as one more class.
"""

from __future__ import annotations

import dataclasses
from typing import final

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.certification.smoothing import SmoothingResult, certify_smoothing
from nversion.models import check_images, frozen
from nversion.modes import ordinary
from nversion.program.model import Program
from nversion.program.verdict import vote
from nversion.program.voters import Outputs
from nversion.repeats import FEW, check_repeats

__all__ = ["certify_program_smoothing"]


@final
class _Verdicts(nn.Module):
    """The verdict as logits: 1 for what was decided, the first place being an abstention."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def forward(self, images: Tensor) -> Tensor:
        outputs = Outputs.from_logits(list(self.program.members(images).cpu()))
        program = self.program
        verdict = vote(outputs, program.voter, program.weights, program.abstention)
        places = outputs.probabilities.shape[2] + 1
        return nn.functional.one_hot(verdict.labels + 1, places).to(torch.float32)


@typed
@ordinary()
def certify_program_smoothing(
    program: Program,
    images: Tensor,
    sigma: float,
    *,
    samples0: int = 100,
    samples: int = 10_000,
    confidence: float = 0.999,
    seed: int = 0,
) -> SmoothingResult:
    """Certify the smoothed verdict of `program` around each image.

    The arguments are those of :func:`certify_smoothing`. Where the program abstains under most
    of the noise, the label is -1 and the radius 0, as where too few samples agree.

    Raises:
        InputError: a malformed argument.
        UnsupportedModuleError: a version's answers do not repeat, as in :func:`certify_smoothing`.
    """
    check_images(images)
    if len(images):
        with frozen(program):  # whose numbers tell more than its verdicts
            check_repeats(program, images[:FEW], "a certificate")
    found = certify_smoothing(
        _Verdicts(program),
        images,
        sigma,
        samples0=samples0,
        samples=samples,
        confidence=confidence,
        seed=seed,
    )
    none = found.labels <= 0
    return dataclasses.replace(
        found,
        labels=(found.labels - 1).clamp(min=-1),
        radii=found.radii.masked_fill(none, 0.0),
        lower_bounds=found.lower_bounds.masked_fill(none, 0.0),
    )
