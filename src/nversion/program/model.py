"""The N-version program: several versions and a voter, itself a model.

N-version programming: Avizienis, "The N-version approach to fault-tolerant software", IEEE
Transactions on Software Engineering 11(12), 1985. As the program is a ``torch.nn.Module`` with
gradients through all versions at once, everything that attacks one network attacks the program.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from nversion.ensemble import VoteRule
from nversion.errors import InputError, NVersionError
from nversion.models import BATCH_SIZE, check_images, device_of, dtype_of
from nversion.modes import ordinary
from nversion.outputs import asked, check_outputs
from nversion.program.abstention import Abstention, create_abstention
from nversion.program.asking import Answer, Asked, ask, gather
from nversion.program.faults import Fault, constant_faults, default_quorum, said
from nversion.program.isolation import IsolatedVersions, Isolation, create_isolation
from nversion.program.verdict import Verdict, blocks, check_weights, join, vote
from nversion.program.voters import Outputs, Voter, create_voter
from nversion.program.voters.base import MOST_VERSIONS, VoteCounter, worths
from nversion.recognition import reader

__all__ = ["Program"]


@final
class Program(nn.Module):
    """Several versions and a voter: images [count, channels, height, width] -> log-probabilities.

    The versions may be any modules that map images in [0, 1] to logits or log-probabilities over
    the same classes; other programs will do. Versions that give probabilities are recognised on
    first use, with a warning unless :func:`nversion.as_logits` declared them. Each computes in its
    own dtype and on its own device. The output is differentiable. For the hard voters
    (those that count votes or ranks) it is the mean softmax, a surrogate for attacks to follow, and
    only :meth:`vote` gives the verdict.

    Args:
        models: the versions, at least one.
        voter: a voter or its name (``nversion.program.voter_names()``).
        weights: one positive number per version; equal ones by default.
        abstain: when to withhold a verdict, as :class:`Abstention` or such as "margin=0.2"; the
            differentiable output does not know of it.
        quorum: how many versions must have a voice, or the program abstains; a strict majority by
            default. A version that raises, or gives numbers that are not finite or of another
            shape, has none (:mod:`nversion.program.faults`).
        isolate: "processes", or an :class:`Isolation`, to vote with one process for each version
            (:mod:`nversion.program.isolation`); the differentiable output does not.

    Raises:
        InputError: no models, something that is no module, a wrong voter, or another wrong
            argument.

    Attributes:
        models: the versions, in order.
        voter: the voter.
        abstention: when a verdict is withheld; None for never.
        quorum: how many versions must have a voice.
        screened: the faults by which versions were found on probes, by place; these have no voice.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        voter: str | Voter = "mean-softmax",
        weights: Sequence[float] | Tensor | None = None,
        abstain: Abstention | str | None = None,
        quorum: int | None = None,
        isolate: Isolation | str | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(models, Iterable):
            raise InputError(
                f"models must be a sequence of torch.nn.Module, not {type(models).__name__}"
            )
        members = list(models)
        if not 1 <= len(members) <= MOST_VERSIONS:
            raise InputError(f"a program needs 1 to {MOST_VERSIONS} models, not {len(members)}")
        for place, model in enumerate(members):
            if not isinstance(model, nn.Module):
                raise InputError(
                    f"models[{place}] must be a torch.nn.Module, not {type(model).__name__}"
                )
        self.models = nn.ModuleList(members)
        self.voter = create_voter(voter)
        self._weights = check_weights(weights, len(members))
        self.voter.check(len(members), self._weights)
        self.abstention = create_abstention(abstain)
        self.quorum = _checked_quorum(quorum, len(members))
        self.screened: dict[int, Fault] = {}
        isolation = create_isolation(isolate)
        self._isolated = None if isolation is None else IsolatedVersions(len(members), isolation)
        # The versions and what gives their logits, once it is known; no modules of the program's.
        self._read: dict[int, tuple[nn.Module, nn.Module]] = {}

    @property
    def weights(self) -> Tensor | None:
        """The weights, float64 [versions] with a largest of 1; None if they are equal."""
        return self._weights

    @property
    def worths(self) -> Tensor:
        """What each version's vote is worth where votes are counted, float64 [versions]."""
        return worths(self._weights, len(self.models))

    @property
    def shares(self) -> Tensor:
        """Each version's share of the weight, float64 [versions], summing to 1."""
        weights = self._weights
        if weights is None:
            weights = torch.ones(len(self.models), dtype=torch.float64)
        return weights / weights.sum()

    def extra_repr(self) -> str:
        """Name the voter when the program is printed."""
        words = "" if self.abstention is None else f", abstains {self.abstention.words}"
        return f"voter={self.voter.name}{words}"

    def read(self, shape: tuple[int, ...]) -> Program:
        """Return the same program of versions that all give logits; itself if they do.

        Args:
            shape: of an image, (channels, height, width).

        Raises:
            InputError: a version fails on such images, or gives no logits or probabilities.

        Warns:
            OutputsWarning: a version gives probabilities and was not declared to.
        """
        readers = self._readers(shape)
        if all(found is model for found, model in zip(readers, self.models, strict=True)):
            return self
        isolation = self._isolated.isolation if self._isolated else None
        found = Program(readers, self.voter, self._weights, self.abstention, self.quorum, isolation)
        found.screened = dict(self.screened)
        return found

    def _readers(self, shape: tuple[int, ...]) -> list[nn.Module]:
        """Return the versions as models of logits, for images [count, *shape]."""
        return [self._reader(place, shape) for place in range(len(self.models))]

    def _reader(self, place: int, shape: tuple[int, ...]) -> nn.Module:
        model, known = self.models[place], self._read.get(place)
        if known is None or known[0] is not model:
            known = self._read[place] = (model, reader(model, shape, f"models[{place}]"))
        if known[1] is not model:
            known[1].training = model.training
        return known[1]

    def _lenient_reader(self, place: int, shape: tuple[int, ...]) -> nn.Module:
        """Return what gives a version's logits; itself where that cannot be told."""
        try:
            return self._reader(place, shape)
        except Exception:  # whatever a faulty network does: asked about images, it shows it again
            return self.models[place]

    def readers(self, images: Tensor) -> list[nn.Module]:
        """Return the versions as models of logits, for images [count, ...] of that shape."""
        return self._readers(tuple(images.shape[1:]))

    @property
    def rule(self) -> VoteRule:
        """How the verdict is made, as attacks on it need to know."""
        count, voter = len(self.models), self.voter
        smooth = voter.additive and not voter.hard
        # A median follows the side on which more than half of the versions are.
        half = -math.inf if voter.hard or smooth else count // 2 + 1.0
        worth = self.worths
        if isinstance(voter, VoteCounter):
            needed = voter.votes_needed(worth)
        else:
            needed = max(voter.threshold(count), half)
        abstains = voter.abstains_on_ties or needed > half or self.abstention is not None
        return VoteRule(tuple(worth.tolist()), smooth, needed, voter.abstains_on_ties, abstains)

    def combine(self, logits: Tensor) -> Tensor:
        """Return the program's log-probabilities [count, classes] from its versions' logits.

        Args:
            logits: floating [versions, count, classes]; log-probabilities will do.
        """
        members = logits.log_softmax(dim=2)
        return self.voter.log_probabilities(members, self.shares.log().to(members))

    @torch.no_grad()
    def verdicts(self, logits: Tensor) -> Tensor:
        """Return the verdicts of the true vote on versions' logits, int64 [count], -1: none.

        Args:
            logits: floating [versions, count, classes].
        """
        outputs = Outputs.from_logits(list(logits.cpu()))
        found = vote(outputs, self.voter, self._weights, self.abstention, self.quorum)
        return found.labels.to(logits.device)

    def members(self, images: Tensor) -> Tensor:
        """Return the versions' log-probabilities [versions, count, classes], differentiable.

        Raises:
            InputError: a version raises, or gives numbers that are not finite or of another shape;
                it is named. :meth:`vote` goes on without it.
        """
        logs: list[Tensor] = []
        shape = tuple(images.shape[1:])
        for place, model in enumerate(self._readers(shape)):
            inputs = images.to(device=device_of(model), dtype=_dtype_of(model, images))
            outputs = _logits(model, inputs, f"models[{place}]")
            if logs and outputs.shape[1] != logs[0].shape[1]:
                raise InputError(
                    f"models[{place}] must give logits [count, {logs[0].shape[1]}], like the first "
                    f"version, but gave {list(outputs.shape)}"
                )
            wide = torch.promote_types(outputs.dtype, torch.float32)
            logs.append(outputs.to(device=images.device, dtype=wide).log_softmax(dim=1))
        return torch.stack(logs)

    def forward(self, images: Tensor) -> Tensor:
        """Return the program's log-probabilities [count, classes], as the voter has them."""
        members = self.members(images)
        return self.voter.log_probabilities(members, self.shares.log().to(members))

    @ordinary()
    def outputs(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Tensor:
        """Return the versions' softmax outputs, float32 [versions, count, classes], no gradient.

        This is what :func:`nversion.program.vote_outputs` and the accuracies by N take.

        Raises:
            InputError: as :meth:`vote`, or a version has no voice on some image.
        """
        asked = self.asked(images, batch_size)
        if asked.faults:
            raise InputError(f"{said(asked.faults)}; vote() goes on without it")
        return asked.outputs.probabilities

    @ordinary()
    def vote(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Verdict:
        """Return the verdict on each image, by the true voter, in evaluation mode.

        Args:
            images: floating [count, channels, height, width] in [0, 1].
            batch_size: images a version is given at once; the verdict does not depend on it.

        Raises:
            InputError: malformed images, none at all, or no version answers any of them.
        """
        check_images(images)
        lost: dict[int, Fault] = {}
        verdicts = []
        for rows in blocks(max(len(images), 1)):
            asked = self.asked(images[rows], batch_size, lost)
            # One that hangs is not waited for again within the call.
            lost |= {one.version: one for one in asked.faults if one.kind in ("hangs", "crashes")}
            verdicts.append(self.decide(asked))
        return join(verdicts)

    def decide(self, asked: Asked, voter: Voter | None = None, *, withhold: bool = True) -> Verdict:
        """Return the verdict on images that the versions were asked about already.

        Args:
            asked: what :meth:`asked` returned.
            voter: another one than the program's.
            withhold: whether the program's abstention counts.
        """
        return vote(
            asked.outputs,
            self.voter if voter is None else voter,
            self._weights,
            self.abstention if withhold else None,
            self.quorum,
            asked.faults,
        )

    @ordinary()
    def asked(
        self,
        images: Tensor,
        batch_size: int = BATCH_SIZE,
        lost: Mapping[int, Fault] | None = None,
    ) -> Asked:
        """Return what the versions say of images, and who has no voice.

        Args:
            images: floating [count, channels, height, width] in [0, 1], at least one.
            batch_size: images a version is given at once.
            lost: versions that are not to be asked, by place, and why.

        Raises:
            InputError: as :meth:`vote`.
        """
        check_images(images)
        if len(images) == 0:
            raise InputError("there are no images to vote on")
        shape = tuple(images.shape[1:])
        answers: list[Answer | None] = [None] * len(self.models)
        for place, fault in {**self.screened, **(lost or {})}.items():
            answers[place] = Answer.missing(place, fault.kind, fault.reason, len(images))
        if self._isolated is not None:
            models = [model if answers[i] is None else None for i, model in enumerate(self.models)]
            stated = self._isolated.ask(models, images, batch_size)
            answers = [one or two for one, two in zip(answers, stated, strict=True)]
        found = [
            ask(self._lenient_reader(place, shape), images, batch_size, place)
            if answer is None
            else answer
            for place, answer in enumerate(answers)
        ]
        return gather(found, len(images))

    def screen(self, probes: Tensor, labels: Tensor | None = None) -> tuple[Fault, ...]:
        """Take the voice of versions that name one class for all probes.

        What is found is kept, so that no verdict depends on the images beside it; earlier findings
        are forgotten.

        Args:
            probes: images of several classes, floating [count, channels, height, width], two or
                more.
            labels: their classes, int64 [count]; without them, nothing is told where half of the
                versions or more name one class for all.

        Raises:
            InputError: malformed images, or probes that tell nothing.
        """
        self.screened = {}
        predictions = torch.cat(
            [self.asked(probes[rows]).outputs.predictions() for rows in blocks(len(probes))], dim=1
        )
        self.screened = constant_faults(predictions, labels)
        return tuple(self.screened.values())

    def close(self) -> None:
        """End the processes of isolated versions; they start anew when they are needed."""
        if self._isolated is not None:
            self._isolated.close()


def _checked_quorum(quorum: int | None, versions: int) -> int:
    if quorum is None:
        return default_quorum(versions)
    if not isinstance(quorum, int) or not 1 <= quorum <= versions:
        raise InputError(f"quorum must be a number of versions, 1 to {versions}, not {quorum!r}")
    return quorum


def _logits(model: nn.Module, inputs: Tensor, name: str) -> Tensor:
    """Return a version's logits [count, classes], with a gradient.

    Raises:
        InputError: it raises, or gives numbers that are not finite or of another shape.
    """
    try:
        with asked(name, tuple(inputs.shape[1:])):
            outputs = check_outputs(model(inputs), len(inputs), name)
    except (NVersionError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise InputError(f"{name} raises {type(error).__name__}: {error}") from error
    finite = outputs.detach().isfinite().all()
    try:
        sound = bool(finite)
    except RuntimeError:  # within a transform of torch.func, where numbers cannot be looked at
        sound = True
    if not sound:
        raise InputError(f"{name} gives logits that are not finite")
    return outputs


def _dtype_of(model: nn.Module, images: Tensor) -> torch.dtype:
    """Return the model's own dtype; the images' for one without parameters."""
    holds = any(tensor.is_floating_point() for tensor in (*model.parameters(), *model.buffers()))
    return dtype_of(model) if holds else images.dtype
