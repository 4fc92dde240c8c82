"""Verdicts, and voting over outputs that were stored earlier."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.extras import needed
from nversion.models import check_labels
from nversion.program.abstention import Abstention, create_abstention
from nversion.program.faults import Fault, default_quorum, joined_faults
from nversion.program.voters import Outputs, Voter, create_voter
from nversion.program.voters.base import MOST_VERSIONS, on_grid

__all__ = [
    "Rules",
    "Verdict",
    "blocks",
    "check_probabilities",
    "check_weights",
    "join",
    "vote",
    "vote_outputs",
]

BLOCK = 1024
"""Images whose ballots are held in float64 at once, at the most; no result depends on it."""

BLOCK_VALUES = 2**21
"""Ballots that are held at once, about: 16 MB, and a few times that for what is made of them."""


@dataclasses.dataclass(frozen=True)
class Rules:
    """By which rules a verdict was found, in words.

    Attributes:
        voter: its name, with the options that were chosen.
        ties: what becomes of an exact tie at the top.
        abstention: when no class is named.
        quorum: how many versions must have a voice, or no class is named.
    """

    voter: str
    ties: str
    abstention: str
    quorum: int

    @classmethod
    def of(cls, voter: Voter, versions: int, abstention: Abstention | None, quorum: int) -> Rules:
        """Return the rules of a voter, of so many versions, and of an abstention beside it."""
        chosen = ", ".join(f"{key}={value}" for key, value in voter.options().items())
        own = voter.abstention_rule(versions)
        if abstention is not None:
            own = abstention.words if own == "never" else f"{own}, and {abstention.words}"
        name = f"{voter.name}({chosen})" if chosen else voter.name
        return cls(name, voter.tie_rule, own, quorum)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What a program decided, image by image.

    Attributes:
        labels: int64 [count]; -1 is an abstention.
        probabilities: float32 [count, classes]; for hard voters the shares of the votes.
        agreement: float32 [count]; the share of versions, each counted alike, whose own class is
            the verdict; 0 for an abstention.
        predictions: the versions' own classes, int64 [versions, count]; -1 where one was voted out.
        tied: bool [count]; several classes shared the largest score.
        withheld: bool [count]; the voter named a class, but too uncertainly for the abstention.
        rules: how ties and abstentions were decided.
        faults: which versions were voted out, why, and on which images.
    """

    labels: Tensor
    probabilities: Tensor
    agreement: Tensor
    predictions: Tensor
    tied: Tensor
    withheld: Tensor
    rules: Rules
    faults: tuple[Fault, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Verdict({self.summary()})"

    def summary(self, labels: Tensor | None = None) -> str:
        """Return in a line how many images there are, abstentions, agreement, and what is right.

        Args:
            labels: the true classes, int64 [count], if they are known.

        Raises:
            InputError: they are not one for each image.
        """
        count = len(self.labels)
        if count == 0:
            return "no images"
        said = [f"{count:,} image{'s' * (count > 1)}"]
        if labels is not None:
            check_labels(labels, count)
            right = self.labels == labels.to(self.labels.device)
            said.append(f"{float(right.double().mean()):.2%} right")
        abstained = int((self.labels < 0).sum())
        said.append(f"{abstained:,} abstention{'s' * (abstained != 1)}")
        said.append(f"agreement {float(self.agreement.double().mean()):.2%}")
        return ", ".join(said)

    def to_pandas(self, class_names: Sequence[str] = ()) -> Any:
        """Return a table with a row for each image: the class, the agreement, probabilities.

        Args:
            class_names: what the classes are called; by default their numbers. An abstention is
                missing.

        Raises:
            MissingExtraError: pandas is not installed.
            InputError: there is not one name for each class.
        """
        pandas = needed("pandas", "pandas", "Verdict.to_pandas")
        classes = self.probabilities.shape[1]
        if class_names and len(class_names) != classes:
            raise InputError(f"{len(class_names)} class names for {classes} classes")
        names = list(class_names or map(str, range(classes)))
        labels = [None if one < 0 else names[one] for one in self.labels.tolist()]
        table = {"label": labels, "agreement": self.agreement.cpu().numpy()}
        chances = self.probabilities.cpu().numpy()
        return pandas.DataFrame(table | {f"p({n})": chances[:, i] for i, n in enumerate(names)})


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


def vote(
    outputs: Outputs,
    voter: Voter,
    weights: Tensor | None,
    abstention: Abstention | None = None,
    quorum: int | None = None,
    faults: tuple[Fault, ...] = (),
) -> Verdict:
    """Return the verdict over `outputs`.

    Args:
        outputs: of the versions, some of which may have no voice on some images.
        voter: how they vote.
        weights: as :func:`check_weights` returns them.
        abstention: when a verdict is withheld.
        quorum: how many versions with a voice a verdict asks for; None for a strict majority.
        faults: why versions have no voice, to go with the verdict.
    """
    present = outputs.present
    versions, count, classes = outputs.probabilities.shape
    quorum = default_quorum(versions) if quorum is None else quorum
    if present is None:
        scores = voter.scores(voter.ballots(outputs, weights))
        total = float(versions) if weights is None else float(weights.sum())
        labels, tied = voter.elect(scores, versions), voter.tied(scores)
        probabilities = voter.probabilities(scores, total).float()
    else:
        labels, tied = torch.full((count,), -1), torch.zeros(count, dtype=torch.bool)
        probabilities = torch.full((count, classes), 1 / classes)
        patterns, groups = torch.unique(present, dim=1, return_inverse=True)
        for group, voices in enumerate(patterns.T):
            rows = (groups == group).nonzero().flatten()
            if bool(voices.any()):
                labels[rows], tied[rows], probabilities[rows] = _of_those(
                    outputs, voter, weights, voices, rows
                )
        labels = labels.masked_fill(present.sum(dim=0) < quorum, -1)
    predictions = outputs.predictions()
    withheld = torch.zeros_like(labels, dtype=torch.bool)
    if abstention is not None:
        withheld = abstention.withholds(labels, probabilities, predictions)
        labels = labels.masked_fill(withheld, -1)
    agreement = ((predictions == labels) & (labels >= 0)).double().mean(dim=0).float()
    rules = Rules.of(voter, versions, abstention, quorum)
    return Verdict(labels, probabilities, agreement, predictions, tied, withheld, rules, faults)


def _of_those(
    outputs: Outputs, voter: Voter, weights: Tensor | None, voices: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return labels, ties and probabilities of some images, by the versions that have a voice."""
    heard = voices.nonzero().flatten()
    own = None if weights is None else weights[heard]
    scores = voter.scores(voter.ballots(outputs.of(heard, rows), own))
    silent = torch.ones(int((~voices).sum())) if weights is None else weights[~voices]
    scores = scores + voter.absent * on_grid(silent, None, voter.step).sum()
    # What counts against a class is no share of the votes of those that are heard.
    total = float(len(voices)) if weights is None else float(weights.sum())
    if voter.absent == 0.0:
        total = float(len(heard)) if own is None else float(own.sum())
    probabilities = voter.probabilities(scores, total).float()
    return voter.elect(scores, len(voices)), voter.tied(scores), probabilities


def vote_outputs(
    probabilities: Tensor,
    voter: str | Voter = "mean-softmax",
    weights: Sequence[float] | Tensor | None = None,
    abstain: Abstention | str | None = None,
) -> Verdict:
    """Vote over stored outputs.

    The verdict's bits do not depend on the order of the versions, nor on which images are
    voted on together. For every voter but ``mean-logits``, whose ballots lose digits when stored
    as float32 probabilities, it is the verdict of :meth:`Program.vote` on the same images.

    Args:
        probabilities: softmax outputs, floating [versions, count, classes].
        voter: a voter or its name.
        weights: one positive number per version; equal ones by default.
        abstain: when to withhold a verdict, as :class:`Abstention` or such as "margin=0.2".

    Raises:
        InputError: malformed probabilities or weights, or an unknown voter.
    """
    check_probabilities(probabilities)
    voter, abstention = create_voter(voter), create_abstention(abstain)
    shares = check_weights(weights, probabilities.shape[0])
    voter.check_weights(shares)
    stored = probabilities.detach().cpu()
    versions, count, classes = stored.shape
    parts = list(blocks(count, versions * classes)) or [slice(0, 0)]
    return join(
        [
            vote(Outputs.from_probabilities(stored[:, rows]), voter, shares, abstention)
            for rows in parts
        ]
    )


def join(verdicts: Sequence[Verdict]) -> Verdict:
    """Return one verdict over the images of all, in order; all by the same rules."""
    return Verdict(
        torch.cat([verdict.labels for verdict in verdicts]),
        torch.cat([verdict.probabilities for verdict in verdicts]),
        torch.cat([verdict.agreement for verdict in verdicts]),
        torch.cat([verdict.predictions for verdict in verdicts], dim=1),
        torch.cat([verdict.tied for verdict in verdicts]),
        torch.cat([verdict.withheld for verdict in verdicts]),
        verdicts[0].rules,
        joined_faults([(len(verdict), verdict.faults) for verdict in verdicts]),
    )
