"""How often a vote over stored outputs is right, beside each version."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.measures import Answers
from nversion.program.abstention import Abstention
from nversion.program.campaigns.voting import VoteCount
from nversion.program.coverage import coverage_curve
from nversion.program.verdict import check_weights, vote_outputs
from nversion.program.voters import Voter
from nversion.program.voters.base import VoteCounter

__all__ = ["count_stored_votes"]


def count_stored_votes(
    names: Sequence[str],
    answers: Answers,
    voter: Voter,
    probabilities: bool,
    *,
    weights: Sequence[float] | None = None,
    abstain: Abstention | None = None,
) -> VoteCount:
    """Let versions vote by what they answered, and count how often they and each are right.

    Args:
        names: of the versions.
        answers: what they answered.
        voter: how they vote; one that counts votes if only classes are known.
        probabilities: whether the scores are that; otherwise they are logits.
        weights: one positive number per version; equal ones by default.
        abstain: when a verdict is withheld; never by default.

    Raises:
        InputError: the voter needs probabilities, or versions abstain.
    """
    labels = torch.from_numpy(answers.labels)
    if answers.scores is None:
        outputs = _decided(answers, voter)
    else:
        scores = torch.from_numpy(answers.scores)
        outputs = scores if probabilities else scores.softmax(dim=2)
    right = 1.0 - answers.wrong.mean(axis=1)
    versions = dict(zip(names, right.tolist(), strict=True))
    undivided = vote_outputs(outputs, voter, weights)
    verdict = vote_outputs(outputs, voter, weights, abstain)
    shares = None if weights is None else check_weights(weights, len(names))
    curve = coverage_curve(undivided, labels, abstain.by if abstain else "margin")
    return VoteCount(
        voter, verdict, labels, versions, None if shares is None else shares.tolist(), curve
    )


def _decided(answers: Answers, voter: Voter) -> Tensor:
    """Return classes as distributions that are sure of them."""
    if not isinstance(voter, VoteCounter):
        raise InputError(
            f"the voter {voter.name} needs probabilities, but only classes are known; choose one "
            "that counts votes, such as majority"
        )
    abstained = int(answers.abstained.sum())
    if abstained:
        raise InputError(
            f"{abstained} answers are abstentions, but a voter wants a class of every version; "
            "leave out the images or the versions"
        )
    classes = max(answers.classes, 2)
    return torch.nn.functional.one_hot(torch.from_numpy(answers.predictions), classes).float()
