"""The diversity budget: what a vote's robustness is made of, image by image.

Take the mean of the members' logits as linear around an image. With m_i a member's lead over a
rival class and g_i its gradient, the vote falls at the distance mean(m) / |mean(g)|, |.| the dual
norm; a member alone at m_i / |g_i|. Had all members the best one's distance, the vote's would be
that times N / |sum of g_i / |g_i||, which in L2 is sqrt(N / (1 + (N - 1) c)), c the mean pairwise
cosine of the gradients; at right angles to each other it would be sqrt(N) (in Linf, on pixels of
their own, N). So what is missing from that most is lost in two steps, as factors: by aligned
gradients, and by unequal members. All is to first order, and at the original image.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.attacks.ball import BALLS
from nversion.attacks.votes.deepfool import first_slopes
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.program import checked_votes, split_rows
from nversion.models import frozen
from nversion.modes import ordinary
from nversion.norms import norm_name

__all__ = ["DiversityBudget", "cosine_needed", "diversity_budget"]

TINY = 1e-30


@dataclasses.dataclass(frozen=True)
class DiversityBudget:
    """What a linearised vote predicts, float32 [count] each; NaN where the label has no lead.

    Attributes:
        predicted: the distance at which the mean logit falls, to its nearest class.
        members: the distances of each member alone, to its own nearest class, [count, members].
        best_member: the largest of them.
        cosine: the mean pairwise cosine of the members' gradients, towards the vote's rival.
        equal_members: the distance if all members were like the best, with these directions.
        lost_to_alignment: the share of what is lost (in logarithms) that aligned gradients lose.
        lost_to_inequality: the share that unequal members lose; both sum to 1.
        rivals: the classes that the vote would fall to, int64 [count].
        cosine_for_twice: the cosine at which equal members would stand twice as far as the best;
            None in Linf, where cosines do not say it, and for one member.
    """

    predicted: Tensor
    members: Tensor
    best_member: Tensor
    cosine: Tensor
    equal_members: Tensor
    lost_to_alignment: Tensor
    lost_to_inequality: Tensor
    rivals: Tensor
    cosine_for_twice: float | None


def cosine_needed(members: int, times: float = 2.0) -> float:
    """Return the pairwise cosine at which equal members' vote stands so many `times` as far.

    From sqrt(N / (1 + (N - 1) c)) = times, in L2: 0.25 for twice as far and many members, 0.167 for
    ten. Below 0 it takes gradients that oppose each other.
    """
    return (members / times**2 - 1.0) / (members - 1.0) if members > 1 else math.nan


@typed
@ordinary()
def diversity_budget(
    program: nn.Module, images: Tensor, labels: Tensor, norm: float | str = 2
) -> DiversityBudget:
    """Return what a program's linearised vote predicts, and where the rest is lost.

    Args:
        program: a :class:`nversion.Program`, or another :class:`nversion.ensemble.Ensemble`.
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count].
        norm: 2 or infinity.

    Raises:
        InputError: malformed images or labels, another norm, or a model that is no ensemble.
    """
    ensemble = checked_votes(program, images, labels)
    kind = norm_name(norm, BALLS)
    parts = []
    with frozen(program):
        for rows in split_rows(ensemble, images):
            members = Members(ensemble, images)
            parts.append(_budget(members, images[rows].float(), labels[rows], kind))
    count = len(ensemble.rule.weights)
    names = [field.name for field in dataclasses.fields(DiversityBudget)]
    columns = {
        name: torch.cat(column).to(images.device)
        for name, column in zip(names, zip(*parts, strict=True), strict=False)
    }
    twice = cosine_needed(count) if kind == "l2" and count > 1 else None
    return DiversityBudget(**columns, cosine_for_twice=twice)


def _budget(members: Members, images: Tensor, labels: Tensor, norm: str) -> tuple[Tensor, ...]:
    device = members.oracle.device
    images, labels = images.to(device), labels.to(device)
    first = first_slopes(members, images, labels)
    shares = members.shares
    # The label is the first of the classes whose gradients were taken.
    picked = first.logits.gather(2, first.classes[:, None].expand(-1, members.count, -1))
    leads = picked[:, :, :1] - picked[:, :, 1:]
    gradients = first.gradients[:, :, :1] - first.gradients[:, :, 1:]
    sizes = _dual(gradients, norm)
    alone = (leads / sizes.clamp(min=TINY)).amin(dim=2)
    weighted = (gradients * shares[None, :, None, None]).sum(dim=1)
    whole = (leads * shares[None, :, None]).sum(dim=1) / _dual(weighted, norm).clamp(min=TINY)
    predicted, place = whole.min(dim=1)
    rows = torch.arange(len(images), device=device)
    chosen, size = gradients[rows, :, place], sizes[rows, :, place]
    units = chosen / size[:, :, None].clamp(min=TINY)
    aligned = _dual((units * shares[None, :, None]).sum(dim=1), norm).clamp(min=TINY)
    best = alone.amax(dim=1)
    equal = best / aligned
    most = best * (math.sqrt(members.count) if norm == "l2" else members.count)
    lost_aligned, lost_unequal = (most / equal).log(), (equal / predicted).log()
    total = lost_aligned + lost_unequal
    good = (predicted > 0) & (best > 0)
    known = [
        torch.where(good, value, torch.nan)
        for value in (equal, lost_aligned / total, lost_unequal / total)
    ]
    predicted = torch.where(good, predicted, torch.nan)
    rivals = first.classes[rows, place + 1]
    return predicted, alone, best, _cosine(chosen), *known, rivals


def _dual(gradients: Tensor, norm: str) -> Tensor:
    return gradients.norm(dim=-1) if norm == "l2" else gradients.abs().sum(dim=-1)


def _cosine(gradients: Tensor) -> Tensor:
    """Return the mean pairwise cosine of gradients [count, members, pixels]; NaN of one."""
    count = gradients.shape[1]
    units = gradients / gradients.norm(dim=2, keepdim=True).clamp(min=TINY)
    together = units.sum(dim=1).square().sum(dim=1) - units.square().sum(dim=2).sum(dim=1)
    return together / (count * (count - 1)) if count > 1 else torch.full_like(together, torch.nan)
