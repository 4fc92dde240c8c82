"""The L2 attack of Carlini & Wagner (2017), started near the boundary.

"Towards evaluating the robustness of neural networks", IEEE S&P 2017. For a constant c, Adam
minimises

    |d|^2 + c * max(0, f(x + d) + confidence),    f = label's logit - largest other logit,

over d with x + d in [0, 1], and a search over c seeks the smallest that succeeds; the nearest
adversarial point of all iterates is the result. Chosen here, to get there with few evaluations:

- The start. The original attack starts every search at d = 0 and spends most of its iterations on
  the way to the boundary. Here a short decoupled-direction-and-norm attack goes there
  (:mod:`nversion.attacks.decoupled`).
- The first constant. At a minimum on the boundary 2 d = -c * grad f. The c that fits best at the
  start, tripled, makes the penalty exact: its minimiser lies on the boundary itself. Where the
  start found nothing adversarial, it is `initial_constant`, times 10 after each failed round.
- The variables. The box is kept by projection rather than by x = (tanh w + 1) / 2, under which
  pixels that are black or white from the beginning hardly ever move.
- Adam's step is smaller than `learning_rate` where the start lies so near to the original that
  such steps would lead astray, and decays within a round. With `abort_early` a round ends once 10
  iterations have not made the loss smaller by five percent, and the search over c once a round
  has brought the point hardly nearer; images that are finished leave the batch.
- The last steps minimise the same objective with f made linear, for a c that is large enough,
  which is exact (:mod:`nversion.attacks.linearised`); Adam's steps are too coarse for the last
  few percent. They are taken twice: networks with many kinks have minima beside each other, and
  the second time gains up to three percent on some images.
- The result is drawn back along the line to the original, unless a confidence is asked for.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import margins, success_margin
from nversion.attacks.decoupled import walk_to_boundary
from nversion.attacks.linearised import IN_L2, Finish, finish
from nversion.attacks.nearest import Nearest
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.ray import drawn_in
from nversion.attacks.registry import register

__all__ = ["CarliniWagner"]

CHECK_EVERY = 10
PROGRESS = 0.95
"""A round goes on while this many iterations have made the loss this much smaller."""

OVERWEIGHT = 3.0
"""The first constant, in multiples of the one that fits the start."""

NEARER = 0.99
"""The search over the constant goes on for images that a round brought nearer by this factor."""

AGAIN = Finish(memory=0.6)
"""How the last steps are taken a second time, from where the first time came to."""

BETA1, BETA2, STABILISER = 0.9, 0.999, 1e-8
"""Adam's usual constants."""

RELATIVE_RATE = 0.25
"""Adam's first step at the most, in units of the start's root mean square change per pixel."""

HALF_LIFE = 7
"""After this many iterations Adam's step is half of the first, then a third and so on."""


@register
@dataclasses.dataclass(frozen=True)
class CarliniWagner(Attack):
    """Minimise |d|^2 + c * max(0, f(x + d) + confidence) by Adam, and search for the smallest c.

    Attributes:
        binary_search_steps: values of c tried per image, at the most.
        max_iterations: iterations of Adam for one c, at the most.
        confidence: by how much another logit must exceed the label's.
        learning_rate: Adam's first step of a round at the most, in units of the pixel range.
        initial_constant: the first c of images for which the start found nothing adversarial.
        abort_early: stop rounds and images that make no more progress (module docstring).
        start_steps: iterations of the start; 0 starts from the original.
    """

    binary_search_steps: int = 5
    max_iterations: int = 1000
    confidence: float = 0.0
    learning_rate: float = 0.005
    initial_constant: float = 0.01
    abort_early: bool = True
    start_steps: int = 25

    name: ClassVar[str] = "carlini-wagner"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Carlini & Wagner 2017"

    def __post_init__(self) -> None:
        check_count("binary_search_steps", self.binary_search_steps)
        check_count("max_iterations", self.max_iterations)
        check_count("start_steps", self.start_steps, low=0)
        check_option("confidence", self.confidence, positive=False)
        check_option("learning_rate", self.learning_rate)
        check_option("initial_constant", self.initial_constant)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the nearest adversarial image found; the original where none was."""
        goal, nearest = _Goal(oracle, labels, self.confidence), Nearest(images)
        points = images
        if self.start_steps > 0:
            points = walk_to_boundary(oracle, nearest, labels, goal.lack, self.start_steps)
        constants = _first_constants(goal, nearest, self.initial_constant)
        descent = _Descent(points, constants, _rates(nearest, self.learning_rate))
        block = min(CHECK_EVERY, self.max_iterations)
        while len(descent.rows) > 0:
            descent.run(goal, nearest, block)
            over = descent.steps + block > self.max_iterations
            if self.abort_early:
                over |= descent.stalled()
            descent.close_rounds(nearest, over, stop_early=self.abort_early)
            descent.select(descent.rounds < self.binary_search_steps)
        for how in (IN_L2, AGAIN):
            finish(nearest, goal.slope, how)
        if self.confidence > 0.0:
            return nearest.points
        return drawn_in(oracle, images, nearest.points, labels)


class _Goal:
    """What counts as adversarial, and how steep the way there is, at points of some `rows`."""

    def __init__(self, oracle: Oracle, labels: Tensor, confidence: float) -> None:
        self.oracle = oracle
        self.labels = labels
        self._confidence = confidence

    def lack(self, logits: Tensor, rows: Tensor) -> Tensor:
        """Return by how much the margin falls short of what is asked, [rows]; below 0: held."""
        labels = self.labels[rows]
        asked = success_margin(logits, labels, self.oracle.dtype).clamp(min=self._confidence)
        short = asked - margins(logits, labels)
        return short.nan_to_num(torch.inf, torch.inf, torch.inf)

    def slope(self, points: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return the lack [rows] and the gradient of the margin [rows, ...]."""
        labels = self.labels[rows]
        logits, gradients = self.oracle.gradient(points, lambda z, k: margins(z, labels[k]))
        return self.lack(logits, rows), gradients


def _first_constants(goal: _Goal, nearest: Nearest, otherwise: float) -> Tensor:
    """Return the first c of each image, [count] (module docstring)."""
    constants = torch.full_like(nearest.squares, otherwise)
    rows = nearest.found()
    if len(rows) > 0:
        _, gradients = goal.slope(nearest.points[rows], rows)
        lengths = sums((nearest.points[rows] - nearest.originals[rows]) * gradients)
        fitting = 2.0 * lengths / sums(gradients * gradients).clamp(min=1e-30)
        constants[rows] = torch.where(fitting > 0, OVERWEIGHT * fitting, otherwise)
    return constants


def _rates(nearest: Nearest, largest: float) -> Tensor:
    """Return Adam's first step for each image, [count] (module docstring)."""
    pixels = nearest.originals[0].numel()
    # Infinite where no point is known.
    return (RELATIVE_RATE * (nearest.squares / pixels).sqrt()).clamp(max=largest)


class _Descent:
    """Adam's state for the images that are still worked on; its tensors run over these `rows`.

    Each image is in a round of its own: the number of values of c it has been through.
    """

    def __init__(self, points: Tensor, constants: Tensor, rates: Tensor) -> None:
        self.rows = torch.arange(len(points), device=points.device)
        self.points = points
        self.constants = constants
        self.rates = rates
        self.lower = torch.zeros_like(constants)
        self.upper = torch.full_like(constants, torch.inf)
        self.first = torch.zeros_like(points)
        self.second = torch.zeros_like(points)
        self.steps = torch.zeros_like(constants)
        self.power1 = self.power2 = torch.ones_like(constants)
        self.rounds = torch.zeros_like(constants)
        self.held = torch.zeros_like(constants, dtype=torch.bool)
        self.loss = torch.full_like(constants, torch.inf)
        self.last_loss = self.loss
        self.before = self.loss

    def run(self, goal: _Goal, nearest: Nearest, block: int) -> None:
        """Take `block` steps, and show `nearest` the points met."""
        self.before = torch.where(self.steps == 0, nearest.squares[self.rows], self.before)
        originals = nearest.originals[self.rows]
        for _ in range(block):
            lacks, gradients = goal.slope(self.points, self.rows)
            changes = self.points - originals
            squares = sums(changes * changes)
            nearest.keep(self.rows, self.points, lacks < 0, squares)
            self.held |= lacks < 0
            self.loss = torch.minimum(self.loss, squares + self.constants * lacks.clamp(min=0.0))
            weights = torch.where(lacks > 0, self.constants, 0.0)
            downhill = columns(weights) * gradients - 2.0 * changes
            self.points = (self.points + self._step(downhill)).clamp_(0.0, 1.0)

    def _step(self, downhill: Tensor) -> Tensor:
        """Return Adam's step for an estimate of the downhill direction."""
        self.steps = self.steps + 1.0
        # Running products: a power's last bits could depend on a row's place in the batch.
        self.power1, self.power2 = BETA1 * self.power1, BETA2 * self.power2
        self.first = BETA1 * self.first + (1.0 - BETA1) * downhill
        self.second = BETA2 * self.second + (1.0 - BETA2) * downhill * downhill
        rate = self.rates / (1.0 + self.steps / HALF_LIFE) / (1.0 - self.power1)
        root = (self.second / columns(1.0 - self.power2)).sqrt_().add_(STABILISER)
        return columns(rate) * self.first / root

    def stalled(self) -> Tensor:
        """Return which rounds, bool [rows], have made too little progress since the last call."""
        stalled = ~(self.loss < PROGRESS * self.last_loss)
        self.last_loss = self.loss
        return stalled

    def close_rounds(self, nearest: Nearest, over: Tensor, *, stop_early: bool) -> None:
        """Where a round is over, choose the next constant and start again from the nearest point.

        With `stop_early`, an image whose round brought it hardly any nearer gets no more rounds.
        """
        self.upper = torch.where(over & self.held, self.constants, self.upper)
        self.lower = torch.where(over & ~self.held, self.constants, self.lower)
        middle = (self.lower + self.upper) / 2
        following = torch.where(middle.isinf(), self.constants * 10, middle)
        self.constants = torch.where(over, following, self.constants)
        self.rounds = self.rounds + over
        squares = nearest.squares[self.rows]
        if stop_early:
            futile = squares.isfinite() & (squares >= NEARER**2 * self.before)
            self.rounds = torch.where(over & futile, torch.inf, self.rounds)
        afresh = over & squares.isfinite()
        self.points = torch.where(columns(afresh), nearest.points[self.rows], self.points)
        self.first = torch.where(columns(over), 0.0, self.first)
        self.second = torch.where(columns(over), 0.0, self.second)
        self.steps = torch.where(over, 0.0, self.steps)
        self.power1 = torch.where(over, 1.0, self.power1)
        self.power2 = torch.where(over, 1.0, self.power2)
        self.held = self.held & ~over
        self.loss = torch.where(over, torch.inf, self.loss)
        self.last_loss = torch.where(over, torch.inf, self.last_loss)

    def select(self, kept: Tensor) -> None:
        """Let go of the images that are not `kept`, bool [rows]."""
        if bool(kept.all()):
            return
        for name, state in vars(self).items():
            setattr(self, name, state[kept])
