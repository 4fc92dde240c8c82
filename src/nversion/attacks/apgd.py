"""Auto-PGD: projected gradient ascent that sets its own step size (Croce & Hein 2020).

"Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
ICML 2020, section 3 and algorithm 1. Ascent with momentum inside the ball starts with steps of
twice the radius. At checkpoints, the first after 22 % of the iterations and then at intervals that
shrink by 3 % of them down to 6 %, the step is halved and the ascent taken up again from the best
point so far, if the loss rose in fewer than the share rho of the steps since the last checkpoint,
or if neither the step nor the best loss has changed between the last two.

The losses are the paper's: cross-entropy; DLR, the difference of logits ratio (section 4); and its
targeted form, for one class after another. Chosen here:

- In place of the cross-entropy its inverse softplus, :func:`~nversion.attacks.criteria.log_odds`:
  the same gradient direction and the same order, without vanishing where the model is very sure.
- The ratio needs three classes, its targeted form four. With fewer, the plain difference is used.
- The target classes are those with the largest logits on the original, as the authors' programs do.
- An image is finished at its first success; the random start is drawn on the ball's surface, as
  the authors' programs draw it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import BallAttack, columns, on_sphere, project, steepest
from nversion.attacks.base import check_count, check_option
from nversion.attacks.criteria import is_adversarial, log_odds, margins
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register
from nversion.errors import InputError

__all__ = ["AutoPGD", "checkpoints", "logit_ratio", "targeted_logit_ratio", "targets_by_rank"]

TINY = 1e-30

LOSSES = ("cross-entropy", "dlr", "targeted-dlr")

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Logits [rows, classes], labels [rows], targets [rows] -> one value per row, to be made large."""


def logit_ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the DLR loss, [count]: the margin over the gap from the first to the third logit."""
    if logits.shape[1] < 3:
        return margins(logits, labels)
    top = logits.topk(3, dim=1).values
    return _ratio(margins(logits, labels), top[:, 0] - top[:, 2])


def targeted_logit_ratio(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Return the targeted DLR loss, [count]: target less label, over first less third and fourth.

    The denominator takes the mean of the third and the fourth largest logit.
    """
    chosen = logits.gather(1, torch.stack([targets, labels], dim=1))
    difference = chosen[:, 0] - chosen[:, 1]
    if logits.shape[1] < 4:
        return difference
    top = logits.topk(4, dim=1).values
    return _ratio(difference, top[:, 0] - (top[:, 2] + top[:, 3]) / 2)


def _ratio(difference: Tensor, spread: Tensor) -> Tensor:
    """Return difference / spread; the difference where a class excluded by -inf is in the spread.

    So it is with as few classes as the others are: the ratio would be zero everywhere.
    """
    return difference / torch.where(spread.isfinite(), spread + TINY, 1.0)


def targets_by_rank(logits: Tensor, labels: Tensor, count: int) -> Tensor:
    """Return the `count` wrong classes with the largest logits, best first, int64 [rows, count]."""
    others = logits.scatter(1, labels[:, None], -torch.inf)
    order = others.sort(dim=1, descending=True, stable=True).indices
    return order[:, : min(count, logits.shape[1] - 1)]


def checkpoints(steps: int) -> list[int]:
    """Return after how many iterations the step size is judged, ascending (algorithm 1)."""
    interval, smallest, shrink = (max(int(share * steps), 1) for share in (0.22, 0.06, 0.03))
    found = [interval]
    while found[-1] < steps:
        interval = max(interval - shrink, smallest)
        found.append(found[-1] + interval)
    return found


_LOSSES: dict[str, Loss] = {
    "cross-entropy": lambda logits, labels, _: log_odds(logits, labels),
    "dlr": lambda logits, labels, _: logit_ratio(logits, labels),
    "targeted-dlr": targeted_logit_ratio,
}


@register
@dataclasses.dataclass(frozen=True)
class AutoPGD(BallAttack):
    """Auto-PGD within an Linf or L2 ball.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius; by default 0.3 (Linf) or 2.0 (L2).
        loss: "cross-entropy", "dlr" or "targeted-dlr".
        steps: iterations of one run.
        restarts: runs, each from a new random start; with a targeted loss, for each target.
        targets: classes aimed at by the targeted loss, at the most.
        rho: share of a checkpoint's steps that must have raised the loss to keep the step size.
        momentum: weight of the new step against the previous one (alpha in the paper).
    """

    loss: str = "cross-entropy"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    rho: float = 0.75
    momentum: float = 0.75

    name: ClassVar[str] = "apgd"
    paper: ClassVar[str] = "Croce & Hein 2020"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.loss not in LOSSES:
            raise InputError(f"loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        for option in ("steps", "restarts", "targets"):
            check_count(option, getattr(self, option))
        for option in ("rho", "momentum"):
            check_option(option, getattr(self, option))

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return an adversarial image within epsilon; the original where none was found."""
        result = images.clone()
        if self.loss == "targeted-dlr":
            aims = targets_by_rank(oracle.logits(images), labels, self.targets)
        else:
            aims = labels[:, None]
        open_ = torch.arange(len(images), device=images.device)
        for aim in aims.unbind(dim=1):
            for _ in range(self.restarts):
                if len(open_) == 0:
                    return result
                start = self._start(images[open_], open_, noise)
                ascent = _Ascent(self, oracle, images[open_], labels[open_], aim[open_])
                success, reached = ascent.run(start)
                result[open_[success]] = reached[success]
                open_ = open_[~success]
        return result

    def _start(self, images: Tensor, rows: Tensor, noise: Noise) -> Tensor:
        shape = tuple(images.shape[1:])
        if self.norm == "linf":
            draws = noise.uniform(rows, *shape, low=-1.0, high=1.0)
        else:
            draws = noise.normal(rows, *shape)
        return on_sphere(draws, images, self.radius, self.norm)


class _Ascent:
    """One run from one start for each image."""

    def __init__(
        self, attack: AutoPGD, oracle: Oracle, images: Tensor, labels: Tensor, targets: Tensor
    ) -> None:
        self._attack = attack
        self._oracle = oracle
        self._images = images
        self._labels = labels
        self._targets = targets
        self._loss = _LOSSES[attack.loss]

    def run(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Return which rows succeeded, bool [count], and the images they reached."""
        attack = self._attack
        reached = points.clone()
        success = torch.zeros_like(self._labels, dtype=torch.bool)
        state = self._begin(points)
        judged = set(checkpoints(attack.steps))
        since = 0
        for step in range(attack.steps + 1):
            success[state.rows[state.hit]] = True
            reached[state.rows[state.hit]] = state.points[state.hit]
            state = state.keep(~state.hit)
            if step == attack.steps or len(state.rows) == 0:
                break
            self._advance(state, 1.0 if step == 0 else attack.momentum)
            since += 1
            if step + 1 in judged:
                _judge(state, since, attack.rho)
                since = 0
        return success, reached

    def _begin(self, points: Tensor) -> _State:
        rows = torch.arange(len(points), device=points.device)
        hit, loss, gradients = self._look(points, rows)
        zeros = torch.zeros_like(loss)
        return _State(
            rows=rows,
            points=points,
            previous=points,
            gradients=gradients,
            hit=hit,
            loss=loss,
            best_points=points,
            best_gradients=gradients,
            best_loss=loss,
            best_loss_before=loss,
            step=torch.full_like(loss, 2.0 * self._attack.radius),
            rises=zeros,
            # The paper's second condition can hold from the second checkpoint on only.
            halved=torch.ones_like(hit),
        )

    def _look(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return which points are adversarial, their losses, and the losses' gradients."""
        labels, targets = self._labels[rows], self._targets[rows]

        def objective(logits: Tensor, chosen: Tensor) -> Tensor:
            return self._loss(logits, labels[chosen], targets[chosen])

        logits, gradients = self._oracle.gradient(points, objective)
        loss = self._loss(logits, labels, targets).nan_to_num(nan=-torch.inf)
        return is_adversarial(logits, labels, self._oracle.dtype), loss, gradients

    def _advance(self, state: _State, momentum: float) -> None:
        """Take one step with momentum and note what it reached."""
        radius, norm = self._attack.radius, self._attack.norm
        images = self._images[state.rows]
        stepped = state.points + columns(state.step) * steepest(state.gradients, norm)
        stepped = project(stepped, images, radius, norm)
        ahead = momentum * (stepped - state.points)
        along = (1.0 - momentum) * (state.points - state.previous)
        moved = project(state.points + ahead + along, images, radius, norm)
        state.previous, state.points = state.points, moved
        state.hit, loss, state.gradients = self._look(moved, state.rows)
        state.rises = state.rises + (loss > state.loss)
        state.loss = loss
        better = loss > state.best_loss
        state.best_loss = torch.where(better, loss, state.best_loss)
        wide = columns(better)
        state.best_points = torch.where(wide, moved, state.best_points)
        state.best_gradients = torch.where(wide, state.gradients, state.best_gradients)


def _judge(state: _State, since: int, rho: float) -> None:
    """Halve the steps of the rows that made too little of theirs; these go back to their best."""
    stalled = ~state.halved & (state.best_loss <= state.best_loss_before)
    halve = (state.rises < rho * since) | stalled
    wide = columns(halve)
    state.step = torch.where(halve, state.step / 2, state.step)
    state.points = torch.where(wide, state.best_points, state.points)
    state.gradients = torch.where(wide, state.best_gradients, state.gradients)
    state.halved = halve
    state.best_loss_before = state.best_loss
    state.rises = torch.zeros_like(state.rises)


@dataclasses.dataclass
class _State:
    """Where the unfinished rows of a run stand; every field has one entry per row."""

    rows: Tensor
    points: Tensor
    previous: Tensor
    gradients: Tensor
    hit: Tensor
    loss: Tensor
    best_points: Tensor
    best_gradients: Tensor
    best_loss: Tensor
    best_loss_before: Tensor
    step: Tensor
    rises: Tensor
    halved: Tensor

    def keep(self, mask: Tensor) -> _State:
        """Return the rows where `mask` is true."""
        if bool(mask.all()):
            return self
        return _State(**{key: value[mask] for key, value in vars(self).items()})
