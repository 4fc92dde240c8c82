"""The teacher's labels: what a program says of each training image, as probabilities.

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, learn from the mean
of an ensemble's outputs; the 2019 study takes the N-version program's mean softmax for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.program import Program, vote_outputs

__all__ = ["teacher_labels"]

PART = 2_000
"""Images whose outputs, of all versions, are held at once."""


def teacher_labels(program: Program, images: Tensor) -> Tensor:
    """Return the program's probabilities on `images`, soft labels to learn from.

    Args:
        program: the teacher; its voter decides what the probabilities are (for ``mean-softmax``
            the mean of the versions' softmax outputs).
        images: floating [count, channels, height, width] in [0, 1].

    Returns:
        float32 [count, classes]; each row sums to 1.

    Raises:
        InputError: malformed images, or versions that disagree on the number of classes.
    """
    # From the outputs in float32, as a study stores them, so that the labels are the same bits.
    parts = [
        vote_outputs(program.outputs(part), program.voter, program.weights).probabilities
        for part in torch.split(images, PART)
    ]
    return torch.cat(parts)
