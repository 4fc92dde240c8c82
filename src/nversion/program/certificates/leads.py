"""Sound lower bounds of how far a vote's winner is ahead, from bounds of each version's margins.

All functions here are pure and take, for versions v and classes j, lower bounds over a ball

    m[v, j] <= z[label] - z[j]        ("margins"; z are the version's logits),
    n[v, j] <= z[c] - z[j]            ("own"; c is the version's own class at the ball's centre).

They return for each image a number that the vote's lead over every rival cannot fall below
anywhere in the ball. A positive number certifies the vote.

**Mean softmax.** Write a[j] = z[label] - z[j]. As p[label] = 1 / (1 + sum_k exp(-a[k])) and
p[j] = exp(-a[j]) p[label], a version's share in the lead over j is

    p[label] - p[j] = (1 - t) / (S + t),    t = exp(-a[j]),  S = 1 + sum over k != j of exp(-a[k]).

Its derivative by t, -(S + 1) / (S + t)^2, is negative, so it is smallest at a[j] = m[j]. By S it
falls where t <= 1 and rises where t > 1; S lies between 1 and its value at a[k] = m[k]. Hence

    p[label] - p[j] >= (1 - exp(-m[j])) / (1 + sum_k exp(-m[k]))     if m[j] >= 0,
                       tanh(m[j] / 2)                                 if m[j] < 0,

and both are the infima if the margins may take any values above their bounds: nothing better
follows from m alone. Where the version prefers another class c, n says more about the rest:
p[label] - p[j] >= -p[j] >= -1 / (1 + exp(n[j])), as p[j] <= p[j] / (p[j] + p[c]). The larger bound
counts, and the versions' bounds are added up with their weights for each j before the smallest
over j is taken. That softmax outputs are monotone in logit differences, and may so be bounded
from bounds of these, is used by Wei et al., "Convex bounds on the softmax function with
applications to robustness verification", AISTATS 2023; that an ensemble is certified from its
members' bounds, class by class, by Jonas and Evans, "Certifying joint adversarial robustness for
model ensembles", 2020, arXiv:2004.10250. Adding up what each version may lose by itself is sound
and not tight: no one image need be the worst for all versions.

**Monotone scores.** Where a class's score never falls as a version's probability of it rises, as
the median does not, its value at the lower bounds of p[label] less its value at the upper bounds of
p[j] is a lower bound.

**Votes.** A version is sure of its class c while n[j] > 0 for all j != c, and cannot vote for j
while n[j] > 0. So the label has at least the votes of those that are sure of it, and j at the
most those of all versions that might choose it, and the difference is a lower bound of the lead.
A tie is an abstention, so the lead must be positive; k-of-n also asks for k sure votes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nversion.program.voters.base import PROBABILITY_STEP, on_grid, worths
from nversion.program.voters.median import median

__all__ = [
    "certified_vote_radii",
    "mean_softmax_leads",
    "median_softmax_leads",
    "monotone_leads",
    "vote_leads",
]

VOTE_ROUNDING = 1e-6
"""What the rounding of stored probabilities and of sums can take off a lead, with much to spare:
probabilities are float32, at most 2^-25 off each."""

LARGEST = 300.0
"""Margins are cut off here: exp(-300) is far below VOTE_ROUNDING, and nothing overflows."""


def mean_softmax_leads(
    margins: Tensor, own: Tensor, labels: Tensor, classes: Tensor, shares: Tensor
) -> Tensor:
    """Return lower bounds of the lead in mean probability, float64 [count].

    Args:
        margins: lower bounds m, [versions, count, classes]; the label's column is not read.
        own: lower bounds n, of the same shape; the column of the version's class is not read.
        labels: int64 [count].
        classes: the versions' own classes c, int64 [versions, count].
        shares: the versions' shares of the weight, float64 [versions], summing to 1.
    """
    rivals = _rivals(margins, labels)
    m, n = _finite(margins), _finite(own)
    ahead = _label_probabilities(m, rivals)[:, :, None] * -torch.expm1(-m)
    leads = torch.where(m >= 0, ahead, torch.tanh(m / 2))
    elsewhere = (classes != labels)[:, :, None] & _rivals(own, classes)
    leads = torch.maximum(leads, torch.where(elsewhere, -torch.sigmoid(-n), -1.0))
    total = (leads * shares[:, None, None]).sum(dim=0)
    return total.masked_fill(~rivals[0], torch.inf).amin(dim=1) - VOTE_ROUNDING


def median_softmax_leads(margins: Tensor, own: Tensor, labels: Tensor, classes: Tensor) -> Tensor:
    """Return lower bounds of the lead in median probability, float64 [count].

    The arguments are those of :func:`mean_softmax_leads`.
    """
    return monotone_leads(median, margins, own, labels, classes)


def monotone_leads(
    scores: Callable[[Tensor], Tensor],
    margins: Tensor,
    own: Tensor,
    labels: Tensor,
    classes: Tensor,
) -> Tensor:
    """Return lower bounds of the lead in a score of each class's probabilities, float64 [count].

    Args:
        scores: takes the versions' probabilities of one or more classes, [versions, ...], and gives
            each its score, [...]. No score may fall where a probability rises, nor move by more
            than the probability that moves most, so that rounding is accounted for.
        margins: as for :func:`mean_softmax_leads`, like the other arguments.
        own: likewise.
        labels: likewise.
        classes: likewise.
    """
    rivals = _rivals(margins, labels)
    m, n = _finite(margins), _finite(own)
    lower = _label_probabilities(m, rivals)
    upper = torch.sigmoid(-m)
    upper = torch.where(_rivals(own, classes), torch.minimum(upper, torch.sigmoid(-n)), upper)
    leads = scores(lower)[:, None] - scores(upper)
    return leads.masked_fill(~rivals[0], torch.inf).amin(dim=1) - VOTE_ROUNDING


def vote_leads(
    own: Tensor,
    labels: Tensor,
    classes: Tensor,
    weights: Tensor,
    needed: float,
    ahead: float = 0.0,
) -> Tensor:
    """Return lower bounds of the label's lead in votes, float64 [count].

    Args:
        own: lower bounds n, [versions, count, classes].
        labels: int64 [count].
        classes: the versions' own classes c, int64 [versions, count].
        weights: what each version's vote is worth, float64 [versions].
        needed: votes that the winner needs; the result is at most its votes less these, plus a
            little, so that just enough votes are a positive lead.
        ahead: likewise, by how many votes the label must lead; 0 for any lead at all.
    """
    others = _rivals(own, classes)
    possible = ~(own > 0) | ~others
    certain = (~possible | ~others).all(dim=2) & (classes == labels)
    votes = on_grid(weights, None, PROBABILITY_STEP)[:, None]
    sure = (certain * votes).sum(dim=0)
    against = (possible * votes[:, :, None]).sum(dim=0)
    leads = sure[:, None] - against
    leads = leads.masked_fill(~_rivals(own, labels)[0], torch.inf).amin(dim=1)
    if ahead > 0.0:
        leads = leads - ahead + PROBABILITY_STEP / 2
    return torch.minimum(leads, sure - needed + PROBABILITY_STEP / 2)


def certified_vote_radii(
    radii: Tensor,
    classes: Tensor,
    labels: Tensor,
    *,
    weights: Tensor | None = None,
    needed: float = -math.inf,
) -> Tensor:
    """Return certified radii of a vote from the versions' own, [count]; order statistics.

    At a radius r every version with an own radius of at least r votes for its class; the others
    may vote for anything, so for one rival j all of them. The label keeps the most votes at r if

        votes sure for the label > votes sure for j + votes that are not sure     for every j,

    and k-of-n if at least k are sure for it as well. Both sides change only at the versions' own
    radii, and the smaller r is, the easier it holds: a version that becomes sure moves its vote
    from the right-hand side of every rival but its own class's. So the answer is the largest of
    the versions' radii at which it holds. Where all versions agree with the label, this is the
    m-th largest of n, m being the smallest whole number above n / 2.

    Args:
        radii: within which each version keeps its class, [versions, count].
        classes: the versions' own classes, int64 [versions, count].
        labels: the program's verdict, int64 [count].
        weights: what each version's vote is worth, [versions]; 1 by default.
        needed: votes that the winner needs.
    """
    versions, count = radii.shape
    worth = worths(weights, versions)
    size = int(torch.maximum(classes.max(), labels.max())) + 1
    best = torch.zeros(count, dtype=radii.dtype)
    for row in range(count):
        for radius in sorted(set(radii[:, row].tolist()), reverse=True):
            sure = radii[:, row] >= radius
            votes = torch.zeros(size, dtype=torch.float64)
            votes.index_add_(0, classes[sure, row], worth[sure])
            own, unsure = float(votes[labels[row]]), float(worth[~sure].sum())
            votes[labels[row]] = 0.0
            if own > float(votes.max()) + unsure and own >= needed:
                best[row] = radius
                break
    return best


def _rivals(bounds: Tensor, classes: Tensor) -> Tensor:
    """Return bool [versions, count, classes]: every class but the given one."""
    chosen = classes.expand(bounds.shape[:2])[:, :, None]
    return torch.ones_like(bounds, dtype=torch.bool).scatter(2, chosen, False)


def _finite(bounds: Tensor) -> Tensor:
    return bounds.double().nan_to_num(nan=-LARGEST).clamp(-LARGEST, LARGEST)


def _label_probabilities(m: Tensor, rivals: Tensor) -> Tensor:
    """Return the lower bounds 1 / (1 + sum_k exp(-m[k])) of p[label], [versions, count]."""
    odds = torch.where(rivals, torch.exp(-m), 0.0).sum(dim=2)
    return 1 / (1 + odds)
