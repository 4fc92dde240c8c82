"""Transfer: how each version does on the images that were made against each of the others.

An image made against a version that also fools another one is what an N-version program has to
fear: a coincident failure. The diagonal is the attack itself (near zero by construction), so
accuracy on images made against *other* versions is given separately.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
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
    predictions: Iterable[Tensor], targets: Sequence[str], adversarial: AdversarialSet
) -> Transfer:
    """Compare the predictions of several versions on the adversarial set.

    Args:
        predictions: each version's predictions on the set's images, int64 [count] (or all of them
            as one tensor [targets, count]); looked at one after the other.
        targets: the versions' names, in that order.
        adversarial: the set.

    Raises:
        InputError: the predictions do not have that shape or dtype, there are more or fewer than
            targets, or two targets share a name.
    """
    if len(set(targets)) != len(targets):
        raise InputError(f"the targets must have different names: {', '.join(targets)}")
    ids = adversarial.version_ids
    counts = torch.bincount(ids, minlength=len(adversarial.versions))
    hits = torch.zeros(len(adversarial.versions), len(targets), dtype=torch.float64)
    seen = 0
    for place, predicted in enumerate(predictions):
        if (
            place >= len(targets)
            or predicted.dtype != torch.int64
            or tuple(predicted.shape) != (len(adversarial),)
        ):
            raise InputError(
                f"predictions must be int64 [{len(targets)}, {len(adversarial)}] [targets, "
                f"images], not of {predicted.dtype} {list(predicted.shape)}"
            )
        correct = (predicted.cpu() == adversarial.labels).double()
        hits[:, place] = torch.bincount(ids, correct, minlength=len(counts))
        seen += 1
    if seen != len(targets):
        raise InputError(f"predictions must be given for {len(targets)} targets, not {seen}")
    places = [_position(adversarial.versions, name) for name in targets]
    own_hits = torch.zeros(len(targets), dtype=torch.float64)
    own_counts = torch.zeros(len(targets), dtype=torch.float64)
    for target, source in enumerate(places):
        if source >= 0:
            own_hits[target], own_counts[target] = hits[source, target], counts[source]
    total = hits.sum(dim=0)
    return Transfer(
        sources=adversarial.versions,
        targets=tuple(targets),
        counts=counts.numpy(),
        accuracy=(hits / counts[:, None]).numpy(),
        overall=(total / len(adversarial)).numpy(),
        own=(own_hits / own_counts).numpy(),
        others=((total - own_hits) / (len(adversarial) - own_counts)).numpy(),
    )


def _position(names: tuple[str, ...], name: str) -> int:
    """Return where a name is, -1 if nowhere: a tested version need not have been attacked."""
    return names.index(name) if name in names else -1
