"""The box-constrained L-BFGS attack (Szegedy et al. 2014; Tabacof & Valle 2016).

"Intriguing properties of neural networks", ICLR 2014, section 4.1; "Exploring the space of
adversarial images", IJCNN 2016, algorithm 1. For a constant c and a target class t,

    mean((x - x0)^2) + c * cross-entropy(logits(x), t),    0 <= x <= 1,

is minimised by L-BFGS, and an outer search seeks the smallest c whose minimiser is adversarial. The
mean of squares, the tolerance of c and the number of iterations are those of Foolbox 2.4. Chosen
here:

- The target is the likeliest wrong class where a short walk to the boundary
  (:mod:`nversion.attacks.decoupled`) ends; Foolbox draws one at random. What the walk met counts
  as well: with it the median L2 on the study's student was 11 % smaller (13 images of MNIST), on
  two smaller networks the same (``benchmarks/attacks.py``).
- L-BFGS-B is replaced by projected L-BFGS (:mod:`nversion.attacks.quasi_newton`) with an Armijo
  line search by interpolation along the projected path. It runs on all images at once, each row by
  itself: row-wise dot products, a step size, a constant and a stage of the search of its own.
- Each minimisation starts where the last one ended, with the gradient differences of the last one:
  the cross-entropy's share in them is rescaled to the new constant. It ends once an iteration
  gains less than a hundredth.
- The first c is the one whose minimiser would lie on the boundary if the model were linear. It is
  doubled until adversarial; then the Illinois variant of regula falsi seeks the c with margin zero
  (Dowell & Jarratt 1971), and is done early once the adversarial margin is within a hundredth of
  the original's.
- The result is the nearest adversarial iterate, improved by steps on the linearised margin
  (:func:`nversion.attacks.linearised.finish`) and drawn back along the line to the original.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import excess_margins
from nversion.attacks.decoupled import walk_to_boundary
from nversion.attacks.gradient import gradient_targets
from nversion.attacks.linearised import finish, margin_slope
from nversion.attacks.nearest import Nearest
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.quasi_newton import Memory
from nversion.attacks.ray import drawn_in
from nversion.attacks.registry import register
from nversion.bracket import Bracket

__all__ = ["LBFGS"]

DOUBLINGS = 30
"""How often the constant is doubled at the most."""

ARMIJO = 1e-4
"""Share of the decrease that the gradient promises which a step must bring."""

ROUNDING = 1e-6
"""Share of the value that a step may lose: near the minimum the rest is rounding."""

REDUCTIONS = 8
"""A line search that has shortened the step so often ends the minimisation."""

FLAT = 1e-2
"""A minimisation is over when an iteration's decrease is less than this share of the value."""

ON_BOUNDARY = 1e-2
"""The search over c is over at an adversarial margin below this share of the original's."""

EDGE = 0.1
"""The search over c keeps this share of its interval off the interval's ends."""

SHARE = 500.0
"""So many first constants the tolerance is taken of at the most, instead of 1 (times the pixels):
large logits ask for constants far below it."""

TINY = 1e-30

LARGEST = 2.0**60
"""Stands for margins that are not numbers, and bounds the first weight."""


@register
@dataclasses.dataclass(frozen=True)
class LBFGS(Attack):
    """Minimise mean squared change + c * cross-entropy to a target; search for the smallest c.

    Attributes:
        tolerance: the search over c ends when its interval is smaller than this.
        max_iterations: iterations of L-BFGS for one c, at the most.
        memory: how many gradient differences L-BFGS keeps.
        start_steps: of the walk; 0 takes the class that the gradient attack reaches as the target.
    """

    tolerance: float = 1e-5
    max_iterations: int = 150
    memory: int = 5
    start_steps: int = 12

    name: ClassVar[str] = "lbfgs"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Tabacof & Valle 2016"

    def __post_init__(self) -> None:
        check_option("tolerance", self.tolerance)
        check_count("max_iterations", self.max_iterations)
        check_count("memory", self.memory)
        check_count("start_steps", self.start_steps, low=0)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        nearest = Nearest(images)
        targets = self._targets(oracle, nearest, labels)
        search = _Search(oracle, nearest, labels, targets, self)
        while len(search.rows) > 0:
            search.advance()
        finish(nearest, margin_slope(oracle, labels))
        return drawn_in(oracle, images, nearest.points, labels)

    def _targets(self, oracle: Oracle, nearest: Nearest, labels: Tensor) -> Tensor:
        """Return the class that each image is to become, int64 [count]; show `nearest` the walk."""
        if self.start_steps == 0:
            return gradient_targets(oracle, nearest.originals, labels)

        def lack(logits: Tensor, rows: Tensor) -> Tensor:
            short = -excess_margins(logits, labels[rows], oracle.dtype)
            return short.nan_to_num(torch.inf, torch.inf, torch.inf)

        ends = walk_to_boundary(oracle, nearest, labels, lack, self.start_steps)
        others = oracle.logits(ends).scatter(1, labels[:, None], -torch.inf)
        return others.argmax(dim=1)


class _Weights:
    """The search of each row for the smallest weight of the cross-entropy that is adversarial."""

    def __init__(self, first: Tensor, margin: Tensor, tolerance: Tensor) -> None:
        self.values = first
        # At weight 0 the original itself is the minimum.
        none, most = torch.zeros_like(first), torch.full_like(first, torch.inf)
        self.bracket = Bracket.between(none, most, margin, margin)
        self._first_margin, self._doublings = margin.abs(), torch.zeros_like(first)
        self._tolerance = tolerance

    def advance(self, over: Tensor, margins: Tensor) -> Tensor:
        """Choose the next values where a minimisation is `over`; return which rows are finished.

        Args:
            over: bool [rows].
            margins: float32 [rows], at the minimum for the present value.
        """
        rows, bracket = over.nonzero().squeeze(1), self.bracket
        bracket.move(rows, self.values[rows], margins[rows], margins[rows] > 0)
        unbounded = bracket.high.isinf()
        width = bracket.high - bracket.low
        share = -bracket.low_value / (bracket.high_value - bracket.low_value)
        inside = bracket.low + width * share.nan_to_num(0.5).clamp(EDGE, 1.0 - EDGE)
        following = torch.where(unbounded, 2.0 * self.values, inside)
        self.values = torch.where(over, following, self.values)
        self._doublings = self._doublings + (over & unbounded)
        near = over & (margins > 0) & (margins < ON_BOUNDARY * self._first_margin)
        return over & ((width < self._tolerance) | near | (self._doublings > DOUBLINGS))


def _select(state: object, kept: Tensor) -> None:
    """Let go of all rows but the `kept`, bool [rows], in an object's tensors."""
    for name, value in vars(state).items():
        if isinstance(value, Tensor):
            setattr(state, name, value[kept])


@dataclasses.dataclass
class _Look:
    """What one evaluation told: at `points`, [rows, pixels], the parts of the objective."""

    points: Tensor
    squares: Tensor
    entropies: Tensor
    slopes: Tensor
    margins: Tensor

    def where(self, chosen: Tensor, other: _Look) -> _Look:
        """Return this look's rows where `chosen`, bool [rows], and the other's elsewhere."""
        columns = chosen[:, None]
        return _Look(
            points=torch.where(columns, self.points, other.points),
            squares=torch.where(chosen, self.squares, other.squares),
            entropies=torch.where(chosen, self.entropies, other.entropies),
            slopes=torch.where(columns, self.slopes, other.slopes),
            margins=torch.where(chosen, self.margins, other.margins),
        )


class _Search:
    """The minimisations of all images; each evaluation serves each image at its own stage.

    Images are flat here, [rows, pixels]. The objective is taken times the number of pixels:
    |x - x0|^2 + weight * cross-entropy, with weight = pixels * c.

    Attributes:
        rows: int64, the images still worked on; the tensors of the search are theirs.
    """

    def __init__(
        self, oracle: Oracle, nearest: Nearest, labels: Tensor, targets: Tensor, options: LBFGS
    ) -> None:
        self._oracle, self._nearest, self._options = oracle, nearest, options
        self._labels, self._targets = labels, targets
        self._originals = nearest.originals.flatten(1)
        count, pixels = self._originals.shape
        self.rows = torch.arange(count, device=labels.device)
        self._here = self._look(self._originals)
        self._memory = Memory(count, options.memory, pixels, labels.device)
        steepness = sums(self._here.slopes.square()).clamp(min=TINY)
        # For two classes and a linear model this weight's minimum lies on the boundary.
        fitting = (4.0 * self._here.margins.abs() / steepness).clamp(TINY, LARGEST)
        tolerance = options.tolerance * (SHARE * fitting).clamp(max=float(pixels))
        fitting = torch.maximum(fitting, 2.0 * tolerance)
        self._weights = _Weights(fitting, self._here.margins, tolerance)
        self._iterations = torch.zeros_like(fitting)
        self._reductions = torch.zeros_like(fitting)
        self._lengths = torch.ones_like(fitting)
        self._uphill = self._gradient(self._here)
        self._directions = self._memory.direction(self._originals, self._uphill)

    def _look(self, points: Tensor) -> _Look:
        """Evaluate points [rows, pixels], and take over those adversarial and nearer."""
        targets = self._targets

        def entropy(logits: Tensor, rows: Tensor) -> Tensor:
            return -logits.log_softmax(dim=1).gather(1, targets[rows, None]).squeeze(1)

        images = points.view(-1, *self._nearest.originals.shape[1:])
        logits, slopes = self._oracle.gradient(images, entropy)
        entropies = entropy(logits, torch.arange(len(points), device=points.device))
        margins = excess_margins(logits, self._labels, self._oracle.dtype)
        margins = margins.nan_to_num(-LARGEST, -LARGEST, -LARGEST)
        squares = sums((points - self._originals).square())
        self._nearest.keep(self.rows, images, margins > 0, squares)
        return _Look(points, squares, entropies, slopes.flatten(1), margins)

    def _value(self, look: _Look) -> Tensor:
        return look.squares + self._weights.values * look.entropies

    def _gradient(self, look: _Look) -> Tensor:
        pull = 2.0 * (look.points - self._originals)
        return pull + self._weights.values[:, None] * look.slopes

    def advance(self) -> None:
        """Try a step for each row; accept or shorten it; begin a new minimisation where over."""
        here, value, uphill = self._here, self._value(self._here), self._uphill
        there = self._look((here.points + self._lengths[:, None] * self._directions).clamp(0, 1))
        steps = there.points - here.points
        promised, reached = sums(uphill * steps), self._value(there)
        accepted = reached <= value + ARMIJO * promised + ROUNDING * value
        ahead = self._gradient(there)
        self._memory.push(accepted, steps, ahead - uphill)
        self._here = there.where(accepted, here)
        self._uphill = torch.where(accepted[:, None], ahead, uphill)
        self._iterations = self._iterations + accepted
        self._reductions = torch.where(accepted, 0.0, self._reductions + 1.0)
        # The minimum of the parabola through the value, its slope and the value reached.
        bend = 2.0 * (reached - value - promised)
        shorter = (-promised / bend).nan_to_num(0.5).clamp(0.1, 0.5) * self._lengths
        self._lengths = torch.where(accepted, 1.0, shorter)
        over = accepted & (value - reached <= FLAT * value)
        over |= (self._reductions >= REDUCTIONS) | (promised >= 0)
        over |= self._iterations >= self._options.max_iterations
        finished = self._renew(over)
        if bool(finished.any()):
            accepted, over = accepted[~finished], over[~finished]
            weights = self._weights
            for state in (self, self._here, self._memory, weights, weights.bracket):
                _select(state, ~finished)
        fresh = self._memory.direction(self._here.points, self._uphill)
        self._directions = torch.where((accepted | over)[:, None], fresh, self._directions)

    def _renew(self, over: Tensor) -> Tensor:
        """Choose the next weights where a minimisation is over; return the finished rows."""
        if not bool(over.any()):
            return over
        before = self._weights.values
        finished = self._weights.advance(over, self._here.margins)
        self._iterations = torch.where(over, 0.0, self._iterations)
        self._reductions = torch.where(over, 0.0, self._reductions)
        self._lengths = torch.where(over, 1.0, self._lengths)
        rows = over.nonzero().squeeze(1)
        self._memory.rescale(rows, self._weights.values[rows] / before[rows])
        self._uphill = self._gradient(self._here)
        return finished
