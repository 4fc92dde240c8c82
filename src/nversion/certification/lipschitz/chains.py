"""How far a chain of layers with activations between them moves, with multipliers for channels.

Norms of layers, multiplied, tell of an input that every layer stretches most; mostly there is none.
For a chain of linear maps W_1 .. W_k with activations between them whose slopes lie in [0, s],
moves t_j of what an activation reads and u_j of what it gives fulfil ``u (s t - u) >= 0`` neuron by
neuron. So for any numbers ``l >= 0``

    |W_k u_{k-1}|^2  <=  |W_k u_{k-1}|^2 + sum over j of  u_j . L_j (s t_j - u_j)

with ``t_j = W_j u_{j-1}``, L_j being the diagonal matrix of them. Maximising the right side over
``u_{k-1}``, then over ``u_{k-2}``, and so on, leaves a form of the chain's input u_0, whose largest
eigenvalue is the square of the stretch (LipSDP, Fazlyab et al. 2019):

    P_{k-1} = W_k^T W_k,     P_{j-1} = s^2 / 4  W_j^T L_j (L_j - P_j)^-1 L_j W_j,

as long as all ``L_j - P_j`` are positive definite. Any such L is sound. If it has one number for
each channel, convolutions on a torus (:mod:`nversion.certification.lipschitz.linear_maps`) fall
apart into one small problem for each frequency; neurons beyond the border, which a later layer
reads as zeros, do not move, and for them the inequality holds, too. Windows of a max-pool only
change the first form.

If the input moves by 1 in L1, the form, being convex, is largest where a single pixel moves by 1,
and that is a move at all frequencies alike. Then not the largest eigenvalue counts, but a mean over
all frequencies.

Both are convex functions of the numbers. At the maximising u the derivative by one of them is the
sum of ``u (s t - u)`` over the channel; a few steps along it, at the frequencies that count, are
enough.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nversion.certification.lipschitz.linear_maps import ROUNDING, LinearMap, block_diagonal

__all__ = ["chain_stretch"]

ROUNDS, STEPS = 3, 10
"""Of the search; each round knows the frequencies at which the one before was wrong."""

RATE, STEADY = 0.2, (0.8, 0.9)
SHARPNESS = 40.0
"""Frequencies count by this power of the square of the stretch."""

FREQUENCIES = 8
"""How many each round takes in."""

SAMPLE = 32
"""Frequencies that stand for all where all count."""

UNKNOWN_EXCESS = 1.002
"""How many times larger the square may be at frequencies that a round does not know."""

SMALLEST = 1e-12


def chain_stretch(
    maps: Sequence[LinearMap],
    steepest: Sequence[float],
    window: tuple[int, int] = (1, 1),
    *,
    one_pixel: bool = False,
) -> float:
    """Return an upper bound of how far what a chain gives moves when what it reads moves by 1.

    Infinite where the chain is too large for it.

    Args:
        maps: the last one first.
        steepest: the largest slope of each activation between them (the smallest is 0), the last
            one first.
        window: of a max-pool that reads the last map, in whose norm moves are measured
            (:mod:`nversion.certification.lipschitz.linear_maps`); (1, 1) for none.
        one_pixel: whether the chain reads moves of 1 in L1, else in L2.
    """
    form, sides = maps[0].form(window), [m.sides(window) for m in maps[1:]]
    steps = [block_diagonal(side) for side in sides if side is not None]
    if form is None or len(steps) < len(sides):
        return math.inf
    pixels = maps[-1].pixels(window) if one_pixel else None
    chain = _Chain(form, tuple(steps), tuple(steepest), window[0] * window[1], pixels)
    return math.sqrt(max(0.0, _least(chain))) * (1.0 + ROUNDING)


def _least(chain: _Chain) -> float:
    """Return the square of the stretch for the best numbers that a short search finds."""
    numbers = kept = chain.first_guess()
    best, used = math.inf, chain.sample()
    for turn in range(ROUNDS + 1):
        squares = chain.squares(numbers)
        square = float(squares.max()) if chain.pixels is None else chain.square(numbers)
        if square < best:
            best, kept = square, numbers
        if turn == ROUNDS or not chain.maps:
            break
        if turn > 0 and math.isfinite(square):
            known = UNKNOWN_EXCESS * float(squares[used].max())
            if chain.pixels is not None or square <= known:
                break
        used[squares.argsort(descending=True)[:FREQUENCIES]] = True
        numbers = chain.at(used).improved(numbers, kept)
    return best


@dataclasses.dataclass(frozen=True)
class _Backward:
    """What going through a chain from its end leaves behind, for each map.

    Attributes:
        factors: C with ``C C^H = L - P``.
        halves: ``s / 2 C^-1 L W``, the roots of the forms.
        whole: at which frequencies all ``L - P`` were positive definite.
    """

    factors: list[Tensor]
    halves: list[Tensor]
    whole: Tensor


@dataclasses.dataclass(frozen=True)
class _Chain:
    """A chain at some frequencies.

    Attributes:
        form: P_{k-1}, [frequencies, in, in] of the last map.
        maps: the others, the last one first, [frequencies, out, in].
        steepest: s, for each of them.
        turns: how often a layer's channels stand in a row.
        pixels: how much each frequency counts in a move of one pixel, [frequencies], adding up
            to 1, and what the moves are there, [in, moves]; None: any moves.
    """

    form: Tensor
    maps: tuple[Tensor, ...]
    steepest: tuple[float, ...]
    turns: int
    pixels: tuple[Tensor, Tensor] | None = None

    def sample(self) -> Tensor:
        """Return which frequencies stand for all, bool [frequencies]: where all count, some."""
        chosen = torch.zeros(len(self.form), dtype=torch.bool)
        if self.pixels is not None:
            chosen[:: max(1, len(chosen) // SAMPLE)] = True
        return chosen

    def at(self, frequencies: Tensor) -> _Chain:
        """Return the chain at some of its frequencies, bool [frequencies]."""
        maps = tuple(w[frequencies] for w in self.maps)
        pixels = None
        if self.pixels is not None:
            shares = (self.pixels[0] * self.sample())[frequencies]
            pixels = shares / shares.sum(), self.pixels[1]
        return dataclasses.replace(self, form=self.form[frequencies], maps=maps, pixels=pixels)

    def first_guess(self) -> Tensor:
        """Return one number for all channels of a layer, with which all forms are finite.

        Returns:
            Numbers for the channels that each of the maps gives, in a row.
        """
        numbers = torch.empty(0, dtype=torch.float64)
        for i, w in enumerate(self.maps):
            end = dataclasses.replace(self, maps=self.maps[:i], steepest=self.steepest[:i])
            number = 2.0 * max(float(end.squares(numbers).max()), SMALLEST)
            numbers = torch.cat([numbers, numbers.new_full((w.shape[1] // self.turns,), number)])
        return numbers

    def square(self, numbers: Tensor) -> float:
        """Return the square of the stretch; infinite for too small numbers."""
        if self.pixels is None:
            return float(self.squares(numbers).max())
        shares, moves = self.pixels
        if not self.maps:
            each = (moves.conj() * (self.form @ moves)).real.sum(dim=1)
            return float((shares @ each).max())
        back = self._backward(numbers)
        if not bool(back.whole.all()):
            return math.inf
        return float((shares @ (back.halves[-1] @ moves).abs().square().sum(dim=1)).max())

    def squares(self, numbers: Tensor) -> Tensor:
        """Return the squares of the stretch at each frequency, [frequencies]; infinite as well."""
        squares = numbers.new_full((len(self.form),), torch.inf)
        if not self.maps:
            squares[:] = torch.linalg.eigvalsh(self.form)[:, -1]
            return squares
        back = self._backward(numbers)
        half = back.halves[-1][back.whole]
        gram = half.mH @ half if half.shape[2] <= half.shape[1] else half @ half.mH
        squares[back.whole] = torch.linalg.eigvalsh(gram)[:, -1]
        return squares

    def improved(self, numbers: Tensor, kept: Tensor) -> Tensor:
        """Return numbers with which the largest square is smaller, after a few steps.

        Adam (Kingma & Ba 2015) on their logarithms.

        Args:
            numbers: where to begin.
            kept: numbers that are large enough; it is stepped back to them.
        """
        log, best, least = numbers.log(), kept.log(), self.square(kept)
        mean, spread = torch.zeros_like(log), torch.zeros_like(log)
        for step in range(STEPS):
            largest, slope = self._slope(log.exp())
            if slope is None:
                log = (log + best) / 2
                continue
            if largest < least:
                least, best = largest, log
            mean = STEADY[0] * mean + (1.0 - STEADY[0]) * slope
            spread = STEADY[1] * spread + (1.0 - STEADY[1]) * slope.square()
            ahead = mean / (1.0 - STEADY[0] ** (step + 1))
            size = (spread / (1.0 - STEADY[1] ** (step + 1))).sqrt().clamp(min=SMALLEST)
            log = log - RATE * (1.0 - step / STEPS) * ahead / size
        return best.exp()

    def _layers(self, numbers: Tensor) -> list[Tensor]:
        """Return the diagonal of each L."""
        sizes = [w.shape[1] // self.turns for w in self.maps]
        return [part.repeat(self.turns) for part in torch.split(numbers, sizes)]

    def _backward(self, numbers: Tensor) -> _Backward:
        form, factors, halves = self.form, [], []
        whole = torch.ones(len(form), dtype=torch.bool)
        for w, s, diagonal in zip(self.maps, self.steepest, self._layers(numbers), strict=True):
            # Less room than there is, by far more than the rounding of what follows: a search
            # is too short for the numbers of a layer to become very different.
            room = torch.diag_embed((diagonal * (1.0 - ROUNDING)).to(form.dtype)) - form
            factor, failed = torch.linalg.cholesky_ex(room)
            whole = whole & (failed == 0)
            half = torch.linalg.solve_triangular(factor, diagonal[:, None] * w, upper=False)
            half = torch.where(whole[:, None, None], half * (s / 2), 0.0)
            factors.append(factor)
            halves.append(half)
            if len(halves) < len(self.maps):
                form = half.mH @ half
        return _Backward(factors, halves, whole)

    def _slope(self, numbers: Tensor) -> tuple[float, Tensor | None]:
        """Return the square, and the slope of its logarithm over those of the numbers.

        None: numbers are too small.
        """
        back = self._backward(numbers)
        if not bool(back.whole.all()):
            return math.inf, None
        square, move, share = self._worst(back.halves[-1])
        layers, work = self._layers(numbers), []
        for i in range(len(self.maps) - 1, -1, -1):
            s, read = self.steepest[i], self.maps[i] @ move
            move = torch.cholesky_solve(layers[i][:, None] * read * (s / 2), back.factors[i])
            each = (move.conj() * (s * read - move)).real.reshape(len(share), self.turns, -1)
            work.append(share @ each.sum(dim=1))
        return square, numbers * torch.cat(work[::-1])

    def _worst(self, half: Tensor) -> tuple[float, Tensor, Tensor]:
        """Return the square of the stretch, and with which moves that is.

        Args:
            half: root of the form of what the chain reads, [frequencies, out, in].

        Returns:
            The square; moves [frequencies, in, 1]; by how much what these do at each frequency
            counts in its logarithm, [frequencies]: where one frequency alone is the worst, all
            that are nearly as bad have a part.
        """
        if self.pixels is not None:
            shares, moves = self.pixels
            means = shares @ (half @ moves).abs().square().sum(dim=1)
            worst = int(means.argmax())
            move = moves[:, worst, None].expand(len(half), -1, -1)
            return float(means[worst]), move, shares / means[worst].clamp(min=SMALLEST)
        if half.shape[2] <= half.shape[1]:
            values, vectors = torch.linalg.eigh(half.mH @ half)
            move = vectors[:, :, -1:]
        else:
            values, vectors = torch.linalg.eigh(half @ half.mH)
            move = half.mH @ vectors[:, :, -1:]
            move = move / torch.linalg.vector_norm(move, dim=1, keepdim=True).clamp(min=SMALLEST)
        square = values[:, -1].clamp(min=SMALLEST)
        share = torch.softmax(SHARPNESS * square.log(), dim=0) / square
        return float(square.max()), move, share
