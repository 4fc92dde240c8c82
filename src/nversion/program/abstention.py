"""When a program withholds its verdict: by agreement, margin or entropy, and a threshold.

Any voter becomes one with a reject option (Chow, "On optimum recognition error and reject
tradeoff", IEEE Transactions on Information Theory 16(1), 1970): where its verdict is not sure
enough, it names no class. How sure is measured

- by **agreement**: the share of versions, each counted alike, whose own class is the verdict,
- by **margin**: the verdict's largest probability less its second largest,
- by **entropy**: of the verdict's probabilities, in nats, of which less is surer.
"""

from __future__ import annotations

import dataclasses
import math
from typing import final

import torch
from torch import Tensor

from nversion.errors import InputError
from nversion.naming import did_you_mean

__all__ = ["MEASURES", "Abstention", "confidence", "create_abstention"]

MEASURES = ("agreement", "margin", "entropy")

TOLERANCE = 2.0**-20
"""A measure counts as reached where it falls short by no more: probabilities are float32."""


@final
@dataclasses.dataclass(frozen=True)
class Abstention:
    """A verdict is withheld where agreement or margin are below, or entropy above, a threshold.

    Attributes:
        by: "agreement", "margin" or "entropy".
        threshold: in [0, 1] for agreement and margin; at least 0, in nats, for entropy.
    """

    by: str
    threshold: float

    def __post_init__(self) -> None:
        if self.by not in MEASURES:
            raise InputError(
                f"abstention is by {', '.join(MEASURES)}, not {self.by!r}"
                f"{did_you_mean(str(self.by), MEASURES)}"
            )
        number = isinstance(self.threshold, int | float) and math.isfinite(self.threshold)
        most = math.inf if self.by == "entropy" else 1.0
        if not number or not 0.0 <= self.threshold <= most:
            wanted = "at least 0 (nats)" if self.by == "entropy" else "in [0, 1]"
            raise InputError(
                f"the threshold of an abstention by {self.by} must be {wanted}, not "
                f"{self.threshold!r}"
            )

    @property
    def words(self) -> str:
        """The rule in words."""
        than = "above" if self.by == "entropy" else "below"
        return f"where the {self.by} is {than} {self.threshold:g}"

    def votes(self, versions: int) -> int:
        """Return how many of so many versions have to agree, for an abstention by agreement."""
        return math.ceil(self.threshold * versions - versions * TOLERANCE)

    def withholds(self, labels: Tensor, probabilities: Tensor, predictions: Tensor) -> Tensor:
        """Return where a class is named but to be withheld, bool [count].

        Args:
            labels: what the voter named, int64 [count]; -1 where it named none.
            probabilities: the verdict's, [count, classes].
            predictions: the versions' own classes, int64 [versions, count].
        """
        sure = confidence(self.by, labels, probabilities, predictions)
        if self.by == "agreement":
            least: float = self.votes(len(predictions)) / max(len(predictions), 1)
        else:
            least = (-self.threshold if self.by == "entropy" else self.threshold) - TOLERANCE
        return (labels >= 0) & (sure < least)


def confidence(by: str, labels: Tensor, probabilities: Tensor, predictions: Tensor) -> Tensor:
    """Return how sure a verdict is, float64 [count], larger for surer: entropy is negated.

    The arguments are those of :meth:`Abstention.withholds`.
    """
    if by == "agreement":
        return ((predictions == labels) & (labels >= 0)).double().mean(dim=0)
    values = probabilities.double()
    if by == "margin":
        top = values.topk(2, dim=1).values
        return top[:, 0] - top[:, 1]
    found: Tensor = torch.special.xlogy(values, values).sum(dim=1)
    return found


def create_abstention(abstain: Abstention | str | None) -> Abstention | None:
    """Return an abstention from a text such as "margin=0.2"; one is handed back as it is.

    Raises:
        InputError: it names no measure, or its threshold is no number or out of range.
    """
    if abstain is None or isinstance(abstain, Abstention):
        return abstain
    by, equals, threshold = str(abstain).partition("=")
    try:
        number = float(threshold)
    except ValueError:
        number = math.nan
    if not equals or math.isnan(number):
        raise InputError(
            f"an abstention is written as MEASURE=THRESHOLD, such as margin=0.2, not {abstain!r}; "
            f"the measures are {', '.join(MEASURES)}"
        )
    return Abstention(by.strip(), number)
