"""Auto-PGD in L1, with a search for the smallest radius (Croce & Hein 2021).

"Mind the box: l1-APGD for sparse adversarial attacks on image classifiers", ICML 2021, section 3
and algorithm 1. Ascent inside the intersection of ball and box: each step moves the k components
with the largest gradients by the same amount, its L1 length being the step size, and is projected
exactly. Every few steps k becomes the number of components that the best point so far has changed,
over 1.5. If that made it fall by a twentieth, the step size goes back to the radius and the ascent
to the best point; otherwise the step size is divided by 1.5, down to a tenth of the radius.

The paper attacks at a given radius. Here the radius is searched for. Chosen here:

- The loss is the margin.
- The first radius is twice what the linearised margin asks for. It doubles until a run succeeds;
  then runs halve the interval between the largest radius that failed and the nearest success. A
  run starts from the nearest success, projected, and an image's run ends at its first success.
- Components that are at the end of the box and would leave it do not count among the k.
- At the end the nearest point is improved on by linear models of the margin
  (:mod:`nversion.attacks.proximal`); `refinements=0` leaves what the search found.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, norms
from nversion.attacks.base import Attack, check_count
from nversion.attacks.goal import Goal
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.polish import polish
from nversion.attacks.projections import onto_l1_in_box, sizes_of
from nversion.attacks.record import Record
from nversion.attacks.registry import register

__all__ = ["AutoPGDInL1"]

FIRST_SHARE = 0.2
"""Share of the components that the first steps move."""

SPARSER = 1.5
"""What the number of changed components is divided by."""

FALLEN = 0.95
"""The step size is reset where the number of components moved falls to this share or below."""

SHORTER, SHORTEST = 1.5, 0.1
"""What the step size is divided by otherwise, and its least share of the radius."""

INTERVAL = 0.04
"""Share of a run's steps after which k and the step size are set anew."""

TINY = 1e-30


@register
@dataclasses.dataclass(frozen=True)
class AutoPGDInL1(Attack):
    """APGD in L1, as a minimum-norm attack.

    Attributes:
        steps: iterations of one run, at the most.
        searches: runs, each with a radius of its own.
        refinements: linear models solved at the end (module docstring).
    """

    steps: int = 40
    searches: int = 8
    refinements: int = 30

    name: ClassVar[str] = "apgd-l1"
    norm: ClassVar[str] = "l1"
    paper: ClassVar[str] = "Croce & Hein 2021"

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("searches", self.searches)
        check_count("refinements", self.refinements, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image met; the original where none was."""
        goal, record = Goal(oracle, images, labels), Record(images, self.norm)
        rows = torch.arange(len(images), device=images.device)
        lacks, gradients = goal.slope(images, rows)
        radii = 2.0 * lacks / norms(gradients, "linf").clamp(min=TINY)
        most = float(images[0].numel())
        low, radii = torch.zeros_like(radii), radii.clamp(max=most)
        for _ in range(self.searches):
            self._run(goal, record, rows, radii)
            held = record.sizes <= radii
            low = torch.where(held, low, radii)
            middle = (low + record.sizes) / 2
            radii = torch.where(record.sizes.isfinite(), middle, 2.0 * radii).clamp(max=most)
        polish(goal, record, self.refinements)
        return record.points

    def _run(self, goal: Goal, record: Record, rows: Tensor, radii: Tensor) -> None:
        """Ascend within the balls of these radii; stop each image at its first success."""
        state = _Ascent.start(record, rows, radii)
        interval = max(int(INTERVAL * self.steps), 1)
        for step in range(self.steps):
            hit = state.look(goal)
            record.keep(state.rows, state.originals + state.changes, hit)
            state = state.keep(~hit)
            if len(state.rows) == 0:
                return
            if step > 0 and step % interval == 0:
                state.adapt()
            state.move()
        record.keep(
            state.rows,
            state.originals + state.changes,
            goal.look(state.originals + state.changes, state.rows) < 0,
        )


@dataclasses.dataclass
class _Ascent:
    """Where the unfinished images of a run stand; every field has one entry per image."""

    rows: Tensor
    originals: Tensor
    radii: Tensor
    changes: Tensor
    gradients: Tensor
    best: Tensor
    best_gradients: Tensor
    best_lack: Tensor
    steps: Tensor
    moved: Tensor

    @classmethod
    def start(cls, record: Record, rows: Tensor, radii: Tensor) -> _Ascent:
        originals = record.originals[rows]
        changes = onto_l1_in_box(record.points[rows] - originals, originals, radii)
        nothing = torch.zeros_like(originals)
        share = torch.full_like(radii, FIRST_SHARE * originals[0].numel())
        known = sizes_of_components(changes)
        return cls(
            rows=rows,
            originals=originals,
            radii=radii,
            changes=changes,
            gradients=nothing,
            best=changes,
            best_gradients=nothing,
            best_lack=torch.full_like(radii, torch.inf),
            steps=radii.clone(),
            moved=torch.where(known > 0, known / SPARSER, share).clamp(min=1.0),
        )

    def look(self, goal: Goal) -> Tensor:
        """Evaluate the points; return which are adversarial."""
        lacks, self.gradients = goal.slope(self.originals + self.changes, self.rows)
        better = lacks < self.best_lack
        self.best_lack = torch.where(better, lacks, self.best_lack)
        self.best = torch.where(columns(better), self.changes, self.best)
        self.best_gradients = torch.where(columns(better), self.gradients, self.best_gradients)
        return lacks < 0

    def adapt(self) -> None:
        """Set the number of components moved and the step size anew (module docstring)."""
        following = (sizes_of_components(self.best) / SPARSER).clamp(min=1.0)
        fallen = following <= FALLEN * self.moved
        shorter = torch.maximum(self.steps / SHORTER, SHORTEST * self.radii)
        self.steps = torch.where(fallen, self.radii, shorter)
        self.changes = torch.where(columns(fallen), self.best, self.changes)
        self.gradients = torch.where(columns(fallen), self.best_gradients, self.gradients)
        self.moved = following

    def move(self) -> None:
        """Take one sparse step and project."""
        points = self.originals + self.changes
        stuck = ((self.gradients > 0) & (points >= 1.0)) | ((self.gradients < 0) & (points <= 0.0))
        slopes = torch.where(stuck, 0.0, self.gradients)
        order = slopes.abs().flatten(1).sort(dim=1, descending=True, stable=True).indices
        places = torch.arange(order.shape[1], device=order.device).expand_as(order)
        chosen = places < self.moved.ceil()[:, None]
        mask = torch.zeros_like(chosen).scatter(1, order, chosen).view_as(slopes)
        direction = slopes.sign() * mask
        length = sizes_of(direction, "l1").clamp(min=1.0)
        moved = self.changes + columns(self.steps / length) * direction
        changes = onto_l1_in_box(moved, self.originals, self.radii)
        self.changes = (self.originals + changes).clamp(0.0, 1.0) - self.originals

    def keep(self, mask: Tensor) -> _Ascent:
        """Return the images where `mask` is true."""
        if bool(mask.all()):
            return self
        return _Ascent(**{key: value[mask] for key, value in vars(self).items()})


def sizes_of_components(changes: Tensor) -> Tensor:
    """Return how many components each row changes, float32 [count]."""
    return (changes != 0).flatten(1).sum(dim=1).to(changes.dtype)
