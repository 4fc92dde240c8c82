"""The N-version program: several versions and a voter, itself a model.

N-version programming: Avizienis, "The N-version approach to fault-tolerant software", IEEE
Transactions on Software Engineering 11(12), 1985. As the program is a ``torch.nn.Module`` with
gradients through all versions at once, everything that attacks one network attacks the program.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.models import (
    BATCH_SIZE,
    check_images,
    device_of,
    dtype_of,
    evaluate,
    frozen,
)
from nversion.modes import ordinary
from nversion.outputs import asked, check_outputs
from nversion.program.abstention import Abstention, create_abstention
from nversion.program.verdict import Verdict, blocks, check_weights, join, vote
from nversion.program.voters import Outputs, Voter, create_voter
from nversion.program.voters.base import MOST_VERSIONS
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

    Raises:
        InputError: no models, something that is no module, a wrong voter, wrong weights or a wrong
            abstention.

    Attributes:
        models: the versions, in order.
        voter: the voter.
        abstention: when a verdict is withheld; None for never.
    """

    def __init__(
        self,
        models: Sequence[nn.Module],
        voter: str | Voter = "mean-softmax",
        weights: Sequence[float] | Tensor | None = None,
        abstain: Abstention | str | None = None,
    ) -> None:
        super().__init__()
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
        # The versions and what gives their logits, once it is known; no modules of the program's.
        self._read: list[tuple[nn.Module, nn.Module]] = []

    @property
    def weights(self) -> Tensor | None:
        """The weights, float64 [versions] with a largest of 1; None if they are equal."""
        return self._weights

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
        readers = self._readers(torch.zeros(0, *shape))
        if all(found is model for found, model in zip(readers, self.models, strict=True)):
            return self
        return Program(readers, self.voter, self._weights, self.abstention)

    def _readers(self, images: Tensor) -> list[nn.Module]:
        """Return the versions as models of logits, for images [count, ...] of that shape."""
        models = list(self.models)
        if len(models) != len(self._read) or any(
            model is not known for model, (known, _) in zip(models, self._read, strict=True)
        ):
            shape = tuple(images.shape[1:])
            self._read = [
                (model, reader(model, shape, f"models[{place}]"))
                for place, model in enumerate(models)
            ]
        for model, found in self._read:
            if found is not model:
                found.training = model.training
        return [found for _, found in self._read]

    def members(self, images: Tensor) -> Tensor:
        """Return the versions' log-probabilities [versions, count, classes], differentiable."""
        logs: list[Tensor] = []
        for place, model in enumerate(self._readers(images)):
            inputs = images.to(device=device_of(model), dtype=_dtype_of(model, images))
            with asked(f"models[{place}]", tuple(images.shape[1:])):
                outputs = check_outputs(model(inputs), len(images), f"models[{place}]")
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
        """
        return self.answers(images, batch_size).probabilities

    @ordinary()
    def vote(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Verdict:
        """Return the verdict on each image, by the true voter, in evaluation mode.

        Args:
            images: floating [count, channels, height, width] in [0, 1].
            batch_size: images a version is given at once; the verdict does not depend on it.

        Raises:
            InputError: malformed images, none at all, or versions of different classes.
        """
        check_images(images)
        return join(
            [
                vote(
                    self.answers(images[rows], batch_size),
                    self.voter,
                    self._weights,
                    self.abstention,
                )
                for rows in blocks(max(len(images), 1))
            ]
        )

    @ordinary()
    def answers(self, images: Tensor, batch_size: int = BATCH_SIZE) -> Outputs:
        """Return what the versions say of images, which voters take: softmaxes and logarithms.

        Raises:
            InputError: as :meth:`vote`.
        """
        check_images(images)
        logits = []
        with frozen(self):
            for place, model in enumerate(self._readers(images)):
                logits.append(evaluate(model, images, batch_size, f"models[{place}]").cpu())
                if logits[-1].shape != logits[0].shape:
                    raise InputError(
                        f"models[{place}] gives {logits[-1].shape[1]} classes, "
                        f"but the first version {logits[0].shape[1]}"
                    )
                if not bool(logits[-1].isfinite().all()):
                    raise InputError(f"models[{place}] gives logits that are not finite")
        return Outputs.from_logits(logits)


def _dtype_of(model: nn.Module, images: Tensor) -> torch.dtype:
    """Return the model's own dtype; the images' for one without parameters."""
    holds = any(tensor.is_floating_point() for tensor in (*model.parameters(), *model.buffers()))
    return dtype_of(model) if holds else images.dtype
