"""Transfer: how each version does on the images that were made against each of the others.

An image made against a version that also fools another one is what an N-version program has to
fear: a coincident failure. The diagonal is the attack itself (near zero by construction), so
accuracy on images made against *other* versions is given separately.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.adversarial.adversarial_set import AdversarialSet
from nversion.errors import InputError

__all__ = ["Transfer", "transfer_matrix"]


@dataclasses.dataclass(frozen=True, eq=False)
class Transfer:
    """Accuracies on the adversarial set, by source and target; NaN where there are no images.

    Attributes:
        sources: the attacked versions.
        targets: the tested versions.
        counts: int64 [sources], images made against each source.
        accuracy: float64 [sources, targets], of the target on the source's images.
        overall: float64 [targets], on the whole set.
        own: float64 [targets], on images made against the target itself.
        others: float64 [targets], on images made against any other version.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    accuracy: npt.NDArray[np.float64]
    overall: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64]
    others: npt.NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return sources, targets and the matrix as in ``results.json``; None for NaN."""
        rows = [[None if np.isnan(x) else float(x) for x in row] for row in self.accuracy]
        return {"sources": list(self.sources), "targets": list(self.targets), "accuracy": rows}


def transfer_matrix(
    predictions: Tensor, targets: Sequence[str], adversarial: AdversarialSet
) -> Transfer:
    """Compare the predictions of several versions on the adversarial set.

    Args:
        predictions: int64 [targets, count], each version's predictions on the set's images.
        targets: the versions' names, in that order.
        adversarial: the set.

    Raises:
        InputError: the predictions do not have that shape or dtype, or two targets share a name.
    """
    expected = (len(targets), len(adversarial))
    if predictions.dtype != torch.int64 or tuple(predictions.shape) != expected:
        raise InputError(
            f"predictions must be int64 {list(expected)} [targets, images], not "
            f"{predictions.dtype} {list(predictions.shape)}"
        )
    if len(set(targets)) != len(targets):
        raise InputError(f"the targets must have different names: {', '.join(targets)}")
    correct = (predictions.cpu() == adversarial.labels).double()
    ids = adversarial.version_ids
    made_by = torch.nn.functional.one_hot(ids, len(adversarial.versions)).double()
    counts = made_by.sum(dim=0)
    hits = made_by.T @ correct.T
    own_ids = [_position(adversarial.versions, name) for name in targets]
    own_mask = torch.stack([ids == i for i in own_ids]) if targets else torch.zeros(0, len(ids))
    return Transfer(
        sources=adversarial.versions,
        targets=tuple(targets),
        counts=counts.long().numpy(),
        accuracy=(hits / counts[:, None]).numpy(),
        overall=correct.mean(dim=1).numpy(),
        own=_share(correct, own_mask.bool()),
        others=_share(correct, ~own_mask.bool()),
    )


def _position(names: tuple[str, ...], name: str) -> int:
    """Return where a name is, -1 if nowhere: a tested version need not have been attacked."""
    return names.index(name) if name in names else -1


def _share(correct: Tensor, mask: Tensor) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = ((correct * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
    return shares
