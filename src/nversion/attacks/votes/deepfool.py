"""Vote-DeepFool: the nearest point at which enough members fall at once. Ours.

DeepFool (Moosavi-Dezfooli et al. 2016) steps onto the nearest of the hyperplanes that a network's
logits span around the current point. A whole vote has no such hyperplane: it falls where k members
are past theirs. So every step takes each member's margin towards a rival as linear, chooses the k
members that are nearest to being won together, and goes to the nearest point that wins all of them
(:mod:`nversion.attacks.votes.hyperplanes`). As in :mod:`nversion.attacks.linearised` the steps
shrink, linearisations of both sides of a kink are mixed, and the margin asked for falls while the
vote has fallen.

The rivals are the two goals with the least common distance at the original: one class that takes
the votes, or any other classes, each member's own nearest, where no verdict at all is enough.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.linearised import step_share
from nversion.attacks.votes.hyperplanes import HalfSpaces, cheapest
from nversion.attacks.votes.members import Members
from nversion.attacks.votes.objectives import leads_to
from nversion.attacks.votes.search import Search

__all__ = ["Goals", "Jacobians", "first_slopes", "goals_of", "vote_deepfool"]

ANY = -1
"""Stands for no class in particular."""

CLASSES = 10
"""Classes looked at, the likeliest of the mean softmax."""

MOST_GOALS = 2
LOOKED_AT = 3
"""Goals whose common distance is worked out at the original."""

FIRST_AIM = {"l2": 5e-3, "linf": 0.01}
"""How far past the boundaries the first step aims, in distances from the original."""

MEMORY = {"l2": 0.5, "linf": 0.7}
RELAX, TIGHTEN = 0.8, 1.2
LAST_STEP = 0.05
CLOSE = 2e-3
"""By what share a step may be longer than the least in Linf; the margins vary more."""

CHOOSE_EVERY = 4
"""The members to be won are chosen anew every so many steps."""

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Jacobians:
    """The members' logits at the originals, and their gradients.

    Attributes:
        logits: float32 [count, members, classes].
        classes: int64 [count, looked at], whose gradients were taken.
        gradients: float32 [count, members, looked at, pixels].
    """

    logits: Tensor
    classes: Tensor
    gradients: Tensor

    def of(self, row: int, members: Tensor, classes: Tensor) -> Tensor:
        """Return gradients of one logit for each of some members, [members, pixels]."""
        places = (self.classes[row][None] == classes[:, None]).int().argmax(dim=1)
        return self.gradients[row, members, places]


def first_slopes(members: Members, images: Tensor, labels: Tensor) -> Jacobians:
    """Return the members' logits and their gradients for the likeliest classes."""
    logits = members.logits(images)
    mean = logits.softmax(dim=2).mean(dim=1).scatter(1, labels[:, None], torch.inf)
    chosen = mean.sort(dim=1, descending=True, stable=True).indices[
        :, : min(CLASSES, logits.shape[2])
    ]
    return Jacobians(logits, chosen, members.jacobian(images, chosen))


@dataclasses.dataclass
class _Walk:
    """One image on its way to one goal."""

    row: int
    target: int
    votes: Integers
    won: Integers
    chosen: Integers
    size: float


@dataclasses.dataclass(frozen=True)
class Goals:
    """What each image walks to, the most promising goals first, with linear models of it.

    Attributes:
        walks: one list for each image.
        values: the members' margins to each goal at the original, float32 [members], alike.
        normals: their gradients, [members, pixels].
    """

    walks: list[list[_Walk]]
    values: list[list[Tensor]]
    normals: list[list[Tensor]]


def vote_deepfool(
    search: Search,
    rows: Tensor,
    goals: Goals,
    steps: int,
    *,
    verdict: bool,
    most: int = 2,
    again: bool = False,
) -> None:
    """Walk to the nearest points where the vote falls, showing `search` all points.

    Args:
        search: the nearest points so far.
        rows: int64 [some], the images.
        goals: of all images, for this way to fall (:func:`goals_of`).
        steps: how many.
        verdict: which way the vote is to fall.
        most: how many goals each image walks to.
        again: start from the nearest points so far, where there are any.
    """
    chosen = [
        (row, place) for row in rows.tolist() for place in range(len(goals.walks[row][:most]))
    ]
    if not chosen:
        return
    walks = [goals.walks[row][place] for row, place in chosen]
    values = torch.stack([goals.values[row][place] for row, place in chosen])
    normals = torch.stack([goals.normals[row][place] for row, place in chosen])
    device = rows.device
    own = torch.tensor([walk.row for walk in walks], device=device)
    targets = torch.tensor([walk.target for walk in walks], device=device)
    originals, labels = search.originals[own], search.labels[own]
    points = originals
    aims = torch.full((len(walks),), FIRST_AIM[search.norm], device=device)
    picks = _picks(labels, targets)
    memory = MEMORY[search.norm]
    if again:
        known = search.distances(verdict)[own].isfinite()
        starts = search.nearest(verdict).points[own]
        points = torch.where(known[:, None, None, None], starts, originals)
        _, leads, gradients = search.members.slopes(points, picks)
        values, normals = _at_originals(points - originals, leads, gradients.flatten(2))
    for step in range(steps):
        afresh = step % CHOOSE_EVERY == 0 and (step > 0 or again)
        changes = _solved(search, walks, originals, values, normals, aims, verdict, afresh)
        share = step_share(step, steps, LAST_STEP)
        points = points + share * ((originals + changes).clamp(0.0, 1.0) - points)
        logits, leads, gradients = search.members.slopes(points, picks)
        fallen = search.see(own, points, logits, verdict)
        newest = _at_originals(points - originals, leads, gradients.flatten(2))
        values = memory * values + (1.0 - memory) * newest[0]
        normals = memory * normals + (1.0 - memory) * newest[1]
        aims = aims * torch.where(fallen, RELAX, TIGHTEN)


def _picks(labels: Tensor, targets: Tensor):  # type: ignore[no-untyped-def]
    """Return the members' margins to each walk's goal, an objective [rows, members]."""

    def picks(logits: Tensor, rows: Tensor) -> Tensor:
        leads = leads_to(logits)
        own, goal = labels[rows], targets[rows]
        wanted = torch.where(goal == ANY, own, goal)
        picked = leads.gather(2, wanted[:, None, None].expand(-1, logits.shape[1], 1)).squeeze(2)
        return torch.where(goal[:, None] == ANY, -picked, picked)

    return picks


def _at_originals(changes: Tensor, leads: Tensor, gradients: Tensor) -> tuple[Tensor, Tensor]:
    """Return what linearisations at originals + changes say at the originals, and their normals."""
    shifts = torch.stack(
        [sums(gradients[:, k] * changes.flatten(1)) for k in range(leads.shape[1])], dim=1
    )
    return leads - shifts, gradients


def goals_of(search: Search, first: Jacobians, verdict: bool) -> Goals:
    """Return the goals that are worth walking to, with their linear models at the originals."""
    found = Goals([], [], [])
    members = torch.arange(first.logits.shape[1], device=first.logits.device)
    leads = leads_to(first.logits)
    sizes = _dual_norms(first, search.norm)
    for row in range(len(search.labels)):
        label = int(search.labels[row])
        logits = first.logits[row]
        votes = logits.argmax(dim=1)
        others = logits.scatter(1, torch.full_like(votes, label)[:, None], -torch.inf)
        nearest_other = others.argmax(dim=1)
        tried = []
        wanted = [int(k) for k in first.classes[row] if int(k) != label]
        for target in [*wanted, *([] if verdict or len(wanted) == 1 else [ANY])]:
            lead = -leads[row, :, label] if target == ANY else leads[row, :, target]
            won = nearest_other if target == ANY else torch.full_like(votes, target)
            # The gradient's size to any class stands for that to this one while goals are compared.
            place = 0 if target == ANY else int((first.classes[row] == target).int().argmax())
            costs = ((-lead).clamp(min=0.0) / sizes[row, :, place].clamp(min=1e-30)).double()
            walk = _Walk(row, target, votes.cpu().numpy(), won.cpu().numpy(), np.empty(0, int), 0.0)
            order = np.argsort(costs.cpu().numpy(), kind="stable")
            enough = _enough(search, walk, verdict)
            need = next((k for k in range(1, len(order) + 1) if enough(order[:k])), None)
            if need is not None:
                # Of two goals with the same hardest member, the one that needs fewer comes first.
                ordered = costs.cpu().numpy()[order[:need]]
                tried.append((float(np.sqrt((ordered**2).sum())), walk))
        tried.sort(key=lambda one: one[0])
        solved: list[tuple[float, int, _Walk, Tensor, Tensor]] = []
        for _, walk in tried[:LOOKED_AT]:
            value, normal = _linear(first, row, walk, label, members, leads)
            spaces = _spaces(search, row, value, normal, 0.0)
            chosen = cheapest(spaces, _costs(spaces), _enough(search, walk, verdict))
            if chosen is None:
                continue
            walk.chosen = chosen
            solution = spaces.only(chosen).nearest(close=1e-2)
            walk.size = spaces.size(solution.change)
            solved.append(
                (walk.size if solution.reached else np.inf, len(solved), walk, value, normal)
            )
        solved.sort(key=lambda one: one[:2])
        best = solved[:MOST_GOALS]
        found.walks.append([one[2] for one in best])
        found.values.append([one[3] for one in best])
        found.normals.append([one[4] for one in best])
    return found


def _dual_norms(first: Jacobians, norm: str) -> Tensor:
    """Return dual norms of the gradients of each class's logit less the label's, [.., looked at].

    The label is the first of the classes looked at; its own entry is that of its nearest rival.
    """
    differences = first.gradients - first.gradients[:, :, :1]
    sizes = differences.norm(dim=3) if norm == "l2" else differences.abs().sum(dim=3)
    picked = first.logits.gather(2, first.classes[:, None].expand(-1, first.logits.shape[1], -1))
    nearest = picked[:, :, 1:].argmax(dim=2, keepdim=True) + 1
    return torch.cat([sizes.gather(2, nearest), sizes[:, :, 1:]], dim=2)


def _linear(
    first: Jacobians, row: int, walk: _Walk, label: int, members: Tensor, leads: Tensor
) -> tuple[Tensor, Tensor]:
    """Return members' margins to a goal at the original, [members], and their gradients."""
    wanted = label if walk.target == ANY else walk.target
    lead = leads[row, :, wanted]
    logits = first.logits[row]
    looked = torch.full_like(logits, -torch.inf).scatter(
        1, first.classes[row][None].expand(len(logits), -1), 0.0
    )
    others = (logits + looked).clone()
    others[:, wanted] = -torch.inf
    rivals = others.argmax(dim=1)
    own = torch.full_like(rivals, wanted)
    normal = first.of(row, members, own) - first.of(row, members, rivals)
    return (-lead, -normal) if walk.target == ANY else (lead, normal)


def _enough(search: Search, walk: _Walk, verdict: bool):  # type: ignore[no-untyped-def]
    """Return whether some members, won for a walk's goal, decide the vote."""
    rule, label = search.members.rule, int(search.labels[walk.row])
    classes = int(max(walk.votes.max(), walk.won.max(), label)) + 1

    def enough(members: Integers) -> bool:
        votes = walk.votes.copy()
        votes[members] = walk.won[members]
        winner = int(rule.winners(votes, classes))
        lost = winner != label
        return lost and (winner >= 0 if verdict and rule.abstains else True)

    return enough


def _spaces(search: Search, row: int, value: Tensor, normal: Tensor, aim: float) -> HalfSpaces:
    """Return the half-spaces in which members are won, `aim` past their boundaries."""
    original = search.originals[row].flatten().double().cpu().numpy()
    normals = normal.double().cpu().numpy()
    sizes = np.linalg.norm(normals, axis=1) if search.norm == "l2" else np.abs(normals).sum(axis=1)
    gaps = -value.double().cpu().numpy() + aim * sizes
    return HalfSpaces(normals, gaps, -original, 1.0 - original, search.norm)


def _costs(spaces: HalfSpaces) -> Doubles:
    if spaces.norm == "l2":
        sizes = np.linalg.norm(spaces.normals, axis=1)
    else:
        sizes = np.abs(spaces.normals).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        costs = np.maximum(spaces.gaps, 0.0) / sizes
    return np.where(np.isnan(costs), 0.0, costs)


def _solved(
    search: Search,
    walks: list[_Walk],
    originals: Tensor,
    values: Tensor,
    normals: Tensor,
    aims: Tensor,
    verdict: bool,
    afresh: bool,
) -> Tensor:
    """Return the nearest changes that win each walk's members, like `originals`."""
    changes = []
    lengths = search.distances(verdict)
    for number, walk in enumerate(walks):
        length = float(lengths[walk.row])
        aim = float(aims[number]) * (length if np.isfinite(length) else walk.size)
        spaces = _spaces(search, walk.row, values[number], normals[number], aim)
        if afresh:
            chosen = cheapest(spaces, _costs(spaces), _enough(search, walk, verdict))
            walk.chosen = walk.chosen if chosen is None else chosen
        solution = spaces.only(walk.chosen).nearest(CLOSE)
        changes.append(torch.from_numpy(solution.change))
    return torch.stack(changes).to(originals).view_as(originals)
