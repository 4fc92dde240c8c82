"""Verdicts, and voting over outputs that were stored earlier."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.program.voters import Outputs, Voter, create_voter
from nversion.program.voters.base import MOST_VERSIONS

__all__ = ["Verdict", "vote_outputs"]

BLOCK = 1024
"""Images whose ballots are held in float64 at once, at the most; no result depends on it."""

BLOCK_VALUES = 2**21
"""Ballots that are held at once, about: 16 MB, and a few times that for what is made of them."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a program decided, image by image.

    Attributes:
        labels: int64 [count]; -1 is an abstention.
        probabilities: float32 [count, classes]; for hard voters the shares of the votes.
        agreement: float32 [count]; the share of versions, each counted alike, whose own class is
            the verdict; 0 for an abstention.
    """

    labels: Tensor
    probabilities: Tensor
    agreement: Tensor


def check_weights(weights: Sequence[float] | Tensor | None, versions: int) -> Tensor | None:
    """Return weights as float64 [versions] scaled to a largest of 1, or None for equal ones.

    Raises:
        InputError: not one per version, or not all positive and finite.
    """
    if weights is None:
        return None
    try:
        values = torch.as_tensor(weights, dtype=torch.float64).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"weights must be one number for each of the {versions} versions, in their order, not "
            f"a {type(weights).__name__} ({error})"
        ) from error
    if values.shape != (versions,):
        raise InputError(
            f"weights must be one number for each of the {versions} versions, "
            f"not of the shape {list(values.shape)}"
        )
    if not bool((values.isfinite() & (values > 0)).all()):
        raise InputError("weights must be positive and finite; leave out a version to silence it")
    return values / values.max()


def check_probabilities(probabilities: Tensor) -> None:
    """Raise unless `probabilities` are softmax outputs [versions, count, classes].

    Raises:
        InputError: wrong type or shape, or rows that are no distributions.
    """
    if not isinstance(probabilities, Tensor) or probabilities.ndim != 3:
        raise InputError("probabilities must be a torch.Tensor [versions, count, classes]")
    if not 1 <= probabilities.shape[0] <= MOST_VERSIONS:
        raise InputError(
            f"there must be 1 to {MOST_VERSIONS} versions, not {probabilities.shape[0]}"
        )
    if not probabilities.is_floating_point():
        raise InputError(f"probabilities must be floating point, not {probabilities.dtype}")
    versions, count, classes = probabilities.shape
    for rows in blocks(count, versions * classes):
        block = probabilities[:, rows]
        sums = block.sum(dim=2, dtype=torch.float64)
        if not bool(((block >= 0) & (block <= 1)).all() & ((sums - 1).abs() < 1e-3).all()):
            raise InputError(
                "probabilities must lie in [0, 1] and sum to 1 over the classes; "
                "pass softmax outputs, not logits"
            )


def blocks(count: int, values: int = 1) -> Iterator[slice]:
    """Yield slices of at most BLOCK rows, or fewer if each row takes many `values`."""
    size = max(min(BLOCK, BLOCK_VALUES // values), 1)
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def vote(outputs: Outputs, voter: Voter, weights: Tensor | None) -> Verdict:
    """Return the verdict over `outputs`; the weights as :func:`check_weights` returns them."""
    versions = outputs.probabilities.shape[0]
    scores = voter.scores(voter.ballots(outputs, weights))
    labels = voter.elect(scores, versions)
    total = float(versions) if weights is None else float(weights.sum())
    agreement = (outputs.predictions() == labels).double().mean(dim=0)
    return Verdict(labels, voter.probabilities(scores, total).float(), agreement.float())


def vote_outputs(
    probabilities: Tensor,
    voter: str | Voter = "mean-softmax",
    weights: Sequence[float] | Tensor | None = None,
) -> Verdict:
    """Vote over stored outputs.

    The verdict's bits do not depend on the order of the versions, nor on which images are
    voted on together. For every voter but ``mean-logits``, whose ballots lose digits when stored
    as float32 probabilities, it is the verdict of :meth:`Program.vote` on the same images.

    Args:
        probabilities: softmax outputs, floating [versions, count, classes].
        voter: a voter or its name.
        weights: one positive number per version; equal ones by default.

    Raises:
        InputError: malformed probabilities or weights, or an unknown voter.
    """
    check_probabilities(probabilities)
    voter = create_voter(voter)
    shares = check_weights(weights, probabilities.shape[0])
    voter.check_weights(shares)
    stored = probabilities.detach().cpu()
    versions, count, classes = stored.shape
    if count == 0:
        empty = torch.zeros(0)
        return Verdict(empty.long(), torch.zeros(0, classes), empty)
    return join(
        [
            vote(Outputs.from_probabilities(stored[:, rows]), voter, shares)
            for rows in blocks(count, versions * classes)
        ]
    )


def join(verdicts: Sequence[Verdict]) -> Verdict:
    """Return one verdict over the images of all, in order."""
    return Verdict(
        torch.cat([verdict.labels for verdict in verdicts]),
        torch.cat([verdict.probabilities for verdict in verdicts]),
        torch.cat([verdict.agreement for verdict in verdicts]),
    )
