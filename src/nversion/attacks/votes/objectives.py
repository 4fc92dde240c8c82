"""What an attack on a vote may drive: values of the members' logits that rise as the vote falls.

Each takes members' logits [rows, members, classes], labels int64 [rows] and the members' shares of
the weight [members], and returns one value per row, differentiable. They differ where members do:

- ``log-mean-softmax``: the margin of the logarithm of the mean softmax, by logsumexp, so that no
  member's certainty rounds its gradient away (He et al., "Adversarial example defense: ensembles of
  weak defenses are not strong", WOOT 2017, attack the mean; Tramèr et al., "On adaptive attacks",
  NeurIPS 2020, say why losses must not saturate). Exact for ``mean-softmax``.
- ``mean-logit``: the margin of the mean logit. Exact for ``mean-logits``.
- ``mean-loss``: the mean of the members' own losses (log-odds), as ensembles of attacked networks
  are mostly averaged (Liu et al., "Delving into transferable adversarial examples", ICLR 2017).
  Exact where all members fall at once.
- ``hinge``: the sum of the leads of the members that are still right. At zero where all are wrong:
  exact for unanimity.
- ``kth-margin``: for each rival class the k-th nearest member's margin, k the votes that the rival
  needs; each margin over its gradient's norm at the original, so that it is a distance. Zero
  where a whole vote falls: exact for ``majority`` and ``k-of-n``. Ours; its smooth form
  weighs the members among the k nearest by a softmin.
- ``reweighted``: margins weighted by what the mean softmax's own margin owes to each of them, over
  members still right (MORA: Yu, Gao and Xu, "MORA: Improving ensemble robustness evaluation with
  model-reweighing attack", NeurIPS 2022): w = p(rival) (p(label) / P(label) + (1 - p(rival)) /
  P(rival)), p a member's softmax and P their mean. The first step of it is that of
  ``log-mean-softmax``, without certain members' vanishing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from nversion.attacks.criteria import log_odds, margins

__all__ = ["OBJECTIVES", "VoteObjective", "kth_margin", "leads_to"]

VoteObjective = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Members' logits [rows, members, classes], labels [rows], shares [members] -> [rows]."""

TINY = 1e-12

SHARPNESS = 10.0
"""Of the smooth k-th margin, in the spread of the margins."""


def log_mean_softmax(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Return the margin of the logarithm of the mean softmax, [rows]."""
    weighted = logits.log_softmax(dim=2) + shares.log()[None, :, None]
    return margins(weighted.logsumexp(dim=1), labels)


def mean_logit(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Return the margin of the mean logit, [rows]."""
    return margins((logits * shares[None, :, None]).sum(dim=1), labels)


def mean_loss(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Return the mean of the members' log-odds against the label, [rows]."""
    flat = log_odds(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
    return (flat.view(logits.shape[:2]) * shares).sum(dim=1)


def hinge(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Return minus the weighted sum of the leads of members that are still right, [rows]."""
    flat = margins(logits.flatten(0, 1), labels.repeat_interleave(logits.shape[1]))
    return (flat.view(logits.shape[:2]).clamp(max=0.0) * shares).sum(dim=1)


def reweighted(logits: Tensor, labels: Tensor, shares: Tensor) -> Tensor:
    """Return MORA's weighted mean of the members' margins towards the vote's rival, [rows]."""
    softmax = logits.detach().softmax(dim=2)
    mean = (softmax * shares[None, :, None]).sum(dim=1)
    rivals = mean.scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
    own, other = _picked(softmax, labels), _picked(softmax, rivals)
    whole = [mean.gather(1, one[:, None]).clamp(min=TINY) for one in (labels, rivals)]
    weights = other * (own / whole[0] + (1.0 - other) / whole[1]) * shares
    leads = _picked(logits, rivals) - _picked(logits, labels)
    right = leads.detach() < 0
    weights = torch.where(right.any(dim=1, keepdim=True) & ~right, 0.0, weights + TINY)
    return (weights * leads).sum(dim=1) / weights.sum(dim=1)


def _picked(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(2, classes[:, None, None].expand(-1, values.shape[1], 1)).squeeze(2)


def leads_to(logits: Tensor) -> Tensor:
    """Return each class's logit less the largest other's, like `logits`; above 0: a vote for it."""
    top = logits.topk(2, dim=-1)
    best, second = top.values[..., :1], top.values[..., 1:]
    is_best = torch.zeros_like(logits, dtype=torch.bool).scatter(-1, top.indices[..., :1], True)
    return logits - torch.where(is_best, second, best)


def kth_margin(
    logits: Tensor, labels: Tensor, sizes: Tensor, needed: Tensor, *, smooth: bool = True
) -> Tensor:
    """Return the best rival's k-th nearest margin, a distance, [rows].

    Args:
        logits: float [rows, members, classes].
        labels: int64 [rows].
        sizes: float [rows, members, classes], norms of the margins' gradients.
        needed: int64 [rows, classes], the members that each rival needs, at most all.
        smooth: weigh the k nearest by a softmin; otherwise the k-th alone.
    """
    distances = leads_to(logits) / sizes.clamp(min=TINY)
    nearest = distances.sort(dim=1, descending=True).values
    last = nearest.gather(1, (needed - 1)[:, None, :])
    if smooth:
        ranks = torch.arange(nearest.shape[1], device=nearest.device)[None, :, None]
        counted = ranks < needed[:, None, :]
        spread = (nearest[:, :1] - last).detach().clamp(min=TINY)
        sharp = SHARPNESS / spread
        terms = torch.where(counted, -sharp * (nearest - last.detach()), -torch.inf)
        value = last.detach() - terms.logsumexp(dim=1, keepdim=True) / sharp
    else:
        value = last
    value = value.squeeze(1).scatter(1, labels[:, None], -torch.inf)
    return value.amax(dim=1)


OBJECTIVES: Mapping[str, VoteObjective] = {
    "log-mean-softmax": log_mean_softmax,
    "mean-logit": mean_logit,
    "mean-loss": mean_loss,
    "hinge": hinge,
    "reweighted": reweighted,
}
"""Those that need no more than logits, labels and shares, by name."""
