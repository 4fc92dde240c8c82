"""When an image counts as adversarial, and the quantities that attacks drive to get there.

Success asks for a margin: the largest other logit must exceed the label's by more than
:func:`success_margin`, so that the verdict survives the rounding differences of another batch size
or order of summation. A tie is no success. The margin is a share of the two logits compared, so it
scales with them, and classes that are switched off by a huge negative logit do not count.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.attacks.oracle import Objective

__all__ = [
    "cross_entropy",
    "excess_margins",
    "is_adversarial",
    "log_odds",
    "margins",
    "pair_margin",
    "relative_margin",
    "success_margin",
    "towards_errors",
]


def relative_margin(dtype: torch.dtype) -> float:
    """Return the success margin as a share of the larger of the two logits compared.

    float32 networks of the catalogue's size reproduce their logits to about 1e-6 of it across
    batch sizes; half-precision ones to about two units in the last place.
    """
    return max(1e-5, 4.0 * torch.finfo(dtype).eps)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the largest other logit minus the label's, [count]; positive means misclassified."""
    own, best = _compared(logits, labels)
    return best - own


def _compared(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two logits that decide, each [count]: the label's and the largest other."""
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return own, others.amax(dim=1)


def pair_margin(first: Tensor, second: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return by how much one logit must exceed another to count as larger, elementwise.

    Args:
        first: logits, float32; minus infinity (a class excluded by the model) has no size.
        second: the logits they are compared with, of a shape that fits.
        dtype: what the model computes in.
    """
    sizes = [torch.where(logits.isinf(), 0.0, logits.abs()) for logits in (first, second)]
    return relative_margin(dtype) * torch.maximum(*sizes)


def success_margin(logits: Tensor, labels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return by how much a misclassification must hold to count, [count] (module docstring).

    Args:
        logits: float32 [count, classes].
        labels: int64 [count].
        dtype: what the model computes in.
    """
    own, best = _compared(logits, labels)
    return pair_margin(own, best, dtype)


def excess_margins(logits: Tensor, labels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return :func:`margins` less :func:`success_margin`, [count]: above zero, adversarial."""
    own, best = _compared(logits, labels)
    return best - own - pair_margin(own, best, dtype)


def is_adversarial(logits: Tensor, labels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return bool [count]: misclassified, with the margin that a success needs.

    Logits that hold NaN or plus infinity are never adversarial.
    """
    sound = ~(logits.isnan() | logits.isposinf()).any(dim=1)
    return sound & (excess_margins(logits, labels, dtype) > 0)


def log_odds(logits: Tensor, labels: Tensor) -> Tensor:
    """Return log((1 - p) / p) of the label's softmax probability p, [count].

    The cross-entropy is softplus of this, so both have the same gradient up to a positive factor;
    but this one does not vanish where the model is so sure that 1 - p rounds to zero.
    """
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -torch.inf)
    return others.logsumexp(dim=1) - own


def cross_entropy(labels: Tensor) -> Objective:
    """Return the objective that the cross-entropy itself is, for `labels`, int64 [count]."""
    return lambda logits, rows: functional.cross_entropy(logits, labels[rows], reduction="none")


def towards_errors(labels: Tensor) -> Objective:
    """Return the objective for :meth:`Oracle.gradient` that :func:`log_odds` is, for `labels`."""
    return lambda logits, rows: log_odds(logits, labels[rows])
