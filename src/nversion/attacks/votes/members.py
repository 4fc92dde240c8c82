"""A vote as its attacks see it: the members' logits and gradients beside the verdict.

The members are asked together, by one :class:`~nversion.attacks.oracle.Oracle` whose model puts
their logits side by side. So answers are the same bits for an image in every batch here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nversion.attacks.criteria import excess_margins, is_adversarial, relative_margin
from nversion.attacks.oracle import Oracle
from nversion.batches import device_of, dtype_of
from nversion.ensemble import ABSTENTION, Ensemble

__all__ = ["MemberObjective", "Members", "Surrogate", "Verdicts"]

MemberObjective = Callable[[Tensor, Tensor], Tensor]
"""Members' logits [rows, members, classes] and the rows' indices -> one value a row, or several."""

AT_ONCE = 640
"""Images times members whose activations are held at once, about."""


class _Together(nn.Module):
    """Several models of logits as one: images -> float32 [members, count, classes]."""

    def __init__(self, readers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.readers = nn.ModuleList(readers)

    def logits(self, images: Tensor) -> Tensor:
        return torch.stack([_logits_of(model, images) for model in self.readers])


def _logits_of(model: nn.Module, images: Tensor) -> Tensor:
    """Return one member's logits, float32, where it lives and in what it computes in."""
    held = any(tensor.is_floating_point() for tensor in model.parameters())
    dtype = dtype_of(model) if held else images.dtype
    outputs: Tensor = model(images.to(device=device_of(model), dtype=dtype))
    return outputs.to(device=images.device, dtype=torch.float32)


class _SideBySide(_Together):
    """Images -> the members' logits, [count, members * classes]."""

    def forward(self, images: Tensor) -> Tensor:
        return self.logits(images).transpose(0, 1).flatten(1)


class _EachItsOwn(_Together):
    """The same of a copy of the images for each member, [count, members * channels, ...].

    So one backward pass gives all members' own gradients. By the images that they share it would
    take one for each member, and each would go back through all of them, mostly with zeros.
    """

    def forward(self, images: Tensor) -> Tensor:
        copies = images.chunk(len(self.readers), dim=1)
        found = [_logits_of(model, own) for model, own in zip(self.readers, copies, strict=True)]
        return torch.cat(found, dim=1)


class Surrogate(_Together):
    """Another vote of the same members, for attacks of one model to follow.

    Args:
        readers: the members, models of logits.
        combine: members' logits [members, count, classes] -> logits [count, classes].
    """

    def __init__(self, readers: Sequence[nn.Module], combine: Callable[[Tensor], Tensor]) -> None:
        super().__init__(readers)
        self.combine = combine

    def forward(self, images: Tensor) -> Tensor:
        """Return the surrogate's logits [count, classes]."""
        return self.combine(self.logits(images))


class Verdicts(_Together):
    """The true verdicts alone, as a model without gradients: for attacks that ask for labels.

    Its last class stands for an abstention.
    """

    def __init__(self, readers: Sequence[nn.Module], ensemble: Ensemble) -> None:
        super().__init__(readers)
        self.decide = ensemble.verdicts

    def forward(self, images: Tensor) -> Tensor:
        """Return 1 for the verdict's class and 0 elsewhere, [count, classes + 1]."""
        logits = self.logits(images)
        verdicts = self.decide(logits)
        places = torch.where(verdicts == ABSTENTION, logits.shape[2], verdicts)
        return nn.functional.one_hot(places, logits.shape[2] + 1).float()


class Members:
    """The members of an ensemble, which must be frozen already.

    Args:
        ensemble: a module with the methods of :class:`~nversion.ensemble.Ensemble`.
        images: a few, of the shape that is to be attacked.

    Attributes:
        ensemble: the vote.
        readers: the members, as models of logits.
        rule: how the verdict is made.
        shares: float32 [members], each one's share of the weight.
        count: how many members there are.
        oracle: what is asked.
        forwards: images sent forward through all members.
        backwards: images whose gradient was taken of all members, together or each of its own.
    """

    def __init__(self, ensemble: Ensemble, images: Tensor) -> None:
        self.ensemble = ensemble
        self.readers = list(ensemble.readers(images))
        self.rule = ensemble.rule
        self.count = len(self.readers)
        weights = torch.tensor(self.rule.weights, dtype=torch.float64)
        model = _SideBySide(self.readers).eval()
        size = max(AT_ONCE // self.count, 4)
        self.oracle = Oracle(model, size)
        self._apart_oracle = Oracle(_EachItsOwn(self.readers).eval(), size)
        self.forwards = self.backwards = self.classes = 0
        self.shares = (weights / weights.sum()).float().to(self.oracle.device)

    def logits(self, images: Tensor) -> Tensor:
        """Return the members' logits, float32 [count, members, classes]."""
        self.forwards += len(images)
        return self._apart(self.oracle.logits(images))

    def gradient(self, images: Tensor, objective: MemberObjective) -> tuple[Tensor, Tensor]:
        """Return the members' logits and the gradient of one value per row, [count, ...]."""
        self.forwards += len(images)
        self.backwards += len(images)
        logits, gradients = self.oracle.gradient(
            images, lambda z, rows: objective(self._apart(z), rows)
        )
        return self._apart(logits), gradients

    def slopes(self, images: Tensor, objective: MemberObjective) -> tuple[Tensor, Tensor, Tensor]:
        """Return the members' logits, a value of each and its gradient, [count, members, ...].

        Args:
            images: [count, channels, height, width].
            objective: values [rows, members]; each may depend on its own member's logits alone.
        """
        self.forwards += len(images)
        self.backwards += len(images)
        logits, gradients = self._apart_oracle.gradient(
            self._copies(images), lambda z, rows: objective(self._apart(z), rows).sum(dim=1)
        )
        members = self._apart(logits)
        rows = torch.arange(len(images), device=images.device)
        return members, objective(members, rows), self._split(gradients, 1)

    def jacobian(self, images: Tensor, classes: Tensor) -> Tensor:
        """Return the gradients of the members' logits of some classes.

        Args:
            images: [count, ...].
            classes: int64 [count, looked at].

        Returns:
            float32 [count, members, looked at, pixels].
        """
        self.forwards += len(images)
        self.backwards += len(images) * classes.shape[1]

        def picked(logits: Tensor, rows: Tensor) -> Tensor:
            places = classes[rows][:, None].expand(-1, self.count, -1)
            return self._apart(logits).gather(2, places).sum(dim=1)

        _, _, gradients = self._apart_oracle.slopes(self._copies(images), picked)
        return self._split(gradients, 2).flatten(3).transpose(1, 2)

    def _split(self, gradients: Tensor, place: int) -> Tensor:
        """Return gradients with the dimension `place`, of all copies' channels, parted by copy."""
        shape = gradients.shape
        return gradients.view(*shape[:place], self.count, -1, *shape[place + 1 :])

    def _copies(self, images: Tensor) -> Tensor:
        return images.repeat(1, self.count, *[1] * (images.ndim - 2))

    def _apart(self, logits: Tensor) -> Tensor:
        apart = logits.view(len(logits), self.count, -1)
        self.classes = apart.shape[2]
        return apart

    def combined(self, logits: Tensor) -> Tensor:
        """Return the vote's log-probabilities [count, classes] from [count, members, classes]."""
        return self.ensemble.combine(logits.transpose(0, 1))

    def lost(self, logits: Tensor, labels: Tensor, *, verdict: bool) -> Tensor:
        """Return where the vote is lost, bool [count], by more than rounding can do.

        Args:
            logits: float32 [count, members, classes].
            labels: int64 [count].
            verdict: whether a wrong verdict is asked for; otherwise an abstention will do.
        """
        if self.rule.smooth:
            return is_adversarial(self.combined(logits), labels, self.oracle.dtype)
        own = logits.gather(2, labels[:, None, None].expand(-1, self.count, 1))
        best = logits.amax(dim=2, keepdim=True)
        # A member whose mind rounding could change counts for the label.
        sizes = torch.maximum(own.abs(), best.abs())
        lifted = own + relative_margin(self.oracle.dtype) * sizes
        raised = logits.scatter(2, labels[:, None, None].expand(-1, self.count, 1), lifted)
        verdicts = self.ensemble.verdicts(raised.transpose(0, 1))
        lost = verdicts != labels
        lost &= self.ensemble.verdicts(logits.transpose(0, 1)) != labels
        return lost & (verdicts != ABSTENTION) if verdict else lost

    def excess(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return by how much the vote's own margin exceeds what a success needs, [count]."""
        return excess_margins(self.combined(logits), labels, self.oracle.dtype)
