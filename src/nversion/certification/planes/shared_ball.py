"""What the neurons of a layer can do together, where the ball is round.

Planes around single neurons let each of them go to the end of its range at once. In an L2 ball they
cannot: if z(x) is the vector of a layer's neurons, ``|z(x + d) - z(x)| <= R`` with the layer's
stretch (:mod:`nversion.certification.lipschitz.stretches`), and the sum of the moves' squares is
what they share. On convolutional networks nearly all that linear bounds give away is given away
here.

After SDP-CROWN (Chiu et al. 2025), which bounds a layer of ReLUs over a ball of R, here with the
neurons' own ranges beside it, and for max-pools too. A row with a coefficient ``-c < 0`` for the
neuron ``f(z) = max_p (e_p . z)`` (e_p picks a neuron of the window, or none where zero takes part)
needs a bound above. For slopes s in [0, 1], any L > 0 and moves t of the window,

    c f(z + t)  <=  c f(z) + c s . t + c gap + L/2 |t|^2,
    gap = min( room,  max_p |e_p - s|^2 c / (2 L) - lead_p ),     lead_p = f(z) - e_p . z >= 0,

where room is by how much f may exceed the plane through ``f(z)`` when each neuron stays in its own
range. (The other bound holds the largest values of parabolas in t.) Summed over a layer, the
squares are at most ``L/2 R^2``. With ``gap = room`` and without the squares this is an ordinary
plane; so for the slopes s the *gain* over it is, for each row,

    sum of c (room - gap)+  -  L/2 R^2,

or nothing, if that is negative. Every L is sound. The best one is nearly where both parts of the
loss, the gaps and the squares, are equal: ``(L R)^2 = sum of masses c^2`` if gaps were ``masses``
times ``c / 2 L``, and the mass of a neuron is taken at the move that is expected of it.

Moves of windows may be measured in a norm in which their means count less, by a factor w (see
:mod:`nversion.certification.lipschitz.stretches`). Then the squared mean of ``e_p - s`` counts 1 /
w times.

The slopes are the ordinary ones, or, where that leaves a smaller gap at the expected move, those
that make the parabolas of the pieces meet; then the room is a little larger.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from nversion.certification.ball import CACHED, TINY, weighted_sums

__all__ = ["SharedBall", "Windows", "share_ball"]

HOPELESS = 1e6
"""The lead over a neuron of a window that cannot win."""

EXPECTED, EXPECTED_WINDOW = 10.0, 4.5
"""The expected moves of ReLUs and of maxima, in shares of R if all neurons that may bend moved
alike: those with large coefficients move farther, and they count most. Any are sound; these were
found by trial on three networks."""

LIGHTEST = 0.2
"""The least mass of a neuron that may bend: the expected move is only a guess, and too large an L
costs less than too small a one."""

BENDING = 1e-6
"""By how much, beside its value, the plane above a neuron must exceed it for it to bend."""

PARABOLAS_PAY = 2.0
"""The parabolas' slopes are taken where they leave less than one part in so many of the gap: the
squares cost as much again."""


@dataclasses.dataclass(frozen=True)
class SharedBall:
    """Planes above the neurons of a layer, and what their rows gain by the shared ball.

    Attributes:
        slopes: of the planes, [count, window, neurons].
        shift: constants of the planes, [count, neurons].
        room: how far the planes lie above the neurons at the image itself, [count, neurons].
        dearer: by how much the room is larger than that of the ordinary planes, [count, neurons].
        leads: [count, pieces, neurons].
        shares: halves of ``|e_p - s|^2``, [count, pieces, neurons].
        masses: [count, neurons].
        radii: R, [count].
    """

    slopes: Tensor
    shift: Tensor
    room: Tensor
    dearer: Tensor
    leads: Tensor
    shares: Tensor
    masses: Tensor
    radii: Tensor

    def gain(self, negative: Tensor) -> tuple[Tensor, Tensor]:
        """Return by how much the constants of rows may be raised, [count, rows], 0 or more.

        And bool [count, rows], whether rows then fare better than with the ordinary planes.

        Args:
            negative: the rows' coefficients where they are negative, otherwise 0, [count, rows,
                neurons].
        """
        size = max(1, CACHED // self.room.numel())
        parts = [self._gain(part) for part in torch.split(negative, size, dim=1)]
        gains = torch.cat(parts, dim=1)
        return gains, gains + weighted_sums(negative, self.dearer) > 0.0

    def _gain(self, negative: Tensor) -> Tensor:
        reach = self.radii.clamp(min=TINY)[:, None]
        curvature = weighted_sums(negative.square(), self.masses).sqrt() / reach
        move = negative * (-1.0 / curvature.clamp(min=TINY))[:, :, None]
        # From -room to 0, because one of the leads is 0.
        starts = -(self.leads + self.room[:, None])
        pieces = list(zip(starts.unbind(1), self.shares.unbind(1), strict=True))
        start, share = pieces.pop()
        less = torch.addcmul(start[:, None], move, share[:, None])
        for start, share in pieces:
            less = torch.maximum(less, torch.addcmul(start[:, None], move, share[:, None]))
        saved = less.clamp_(max=0.0).mul_(negative).sum(dim=2)
        return (saved - curvature * (reach.square() / 2)).clamp(min=0.0)


@dataclasses.dataclass(frozen=True)
class Windows:
    """What is known of the neurons whose maxima a layer takes; a ReLU has windows of one neuron.

    Attributes:
        low: lower bounds, [count, window, neurons].
        high: upper bounds.
        center: values at the images.
        wins: bool, which neurons of a window can be its maximum.
        rectified: whether zero takes part.
        mean: how much the squared mean of a window counts in a move (see
            :mod:`nversion.certification.lipschitz.stretches`).
    """

    low: Tensor
    high: Tensor
    center: Tensor
    wins: Tensor
    rectified: bool
    mean: float = 1.0

    def values(self) -> Tensor:
        """Return the maxima at the images, [count, neurons]."""
        values = self.center.amax(dim=1)
        return values.clamp(min=0.0) if self.rectified else values

    def likely(self) -> Tensor:
        """Return the values at the images, those of neurons that cannot win far below."""
        return self.center.masked_fill(~self.wins, -HOPELESS)

    def leads(self) -> Tensor:
        """Return the leads of the maxima over each piece, [count, pieces, neurons]."""
        values = self.values()[:, None]
        leads = values - self.likely()
        return torch.cat([leads, values], dim=1) if self.rectified else leads

    def shares(self, slopes: Tensor) -> Tensor:
        """Return half of the squared distances of each piece's own slopes from a plane's."""
        square = slopes.square().sum(dim=1, keepdim=True)
        total = slopes.sum(dim=1, keepdim=True)
        # A distance's mean counts as much more as that of a move counts less.
        dearer = (1.0 / self.mean - 1.0) / slopes.shape[1]
        shares = (1.0 - 2.0 * slopes + square + dearer * (1.0 - total).square()) / 2
        none = (square + dearer * total.square()) / 2
        return torch.cat([shares, none], dim=1) if self.rectified else shares

    def room(self, slopes: Tensor) -> Tensor:
        """Return by how much the maxima may exceed planes through them, [count, neurons]."""
        down = slopes * (self.center - self.low)
        total = down.sum(dim=1)
        own = self.likely() + (total[:, None] - down) + (1.0 - slopes) * (self.high - self.center)
        most = own.amax(dim=1)
        if self.rectified:
            most = torch.maximum(most, total)
        return (most - self.values()).clamp(min=0.0)

    def meeting(self, move: Tensor) -> Tensor:
        """Return the slopes with the least gap: a projection onto the simplex.

        Where zero takes part they may add up to less than 1.

        Args:
            move: ``c / L``, [count, 1].
        """
        move = move[:, None].clamp(min=TINY)
        raised = self.likely() + move / 2
        if raised.shape[1] == 1:
            level = (raised - move).clamp(min=0.0) if self.rectified else raised - move
            return ((raised - level).clamp(min=0.0) / move).clamp(max=1.0)
        falling = raised.sort(dim=1, descending=True).values
        ranks = torch.arange(1, raised.shape[1] + 1, dtype=raised.dtype, device=raised.device)
        levels = (falling.cumsum(dim=1) - move) / ranks[:, None]
        last = (falling > levels).sum(dim=1, keepdim=True).clamp(min=1) - 1
        level = levels.gather(1, last)
        if self.rectified:
            level = level.clamp(min=0.0)
        return ((raised - level).clamp(min=0.0) / move).clamp(max=1.0)


def share_ball(windows: Windows, slopes: Tensor, shift: Tensor, radii: Tensor) -> SharedBall:
    """Return planes above maxima, with what is to be gained by the shared ball.

    Args:
        windows: the neurons.
        slopes: of the ordinary planes above, [count, window, neurons].
        shift: constants of the ordinary planes above, [count, neurons].
        radii: R, by how much all neurons of the windows can move in L2, [count].
    """
    values = windows.values()

    def heights(slopes: Tensor) -> Tensor:
        return (slopes * windows.center).sum(dim=1)

    ordinary = (heights(slopes) + shift - values).clamp(min=0.0)
    bends = ordinary > BENDING * (1.0 + values.abs())
    count = bends.sum(dim=1).clamp(min=1)
    expected = EXPECTED if windows.center.shape[1] == 1 else EXPECTED_WINDOW
    move = (expected * radii / count.sqrt())[:, None]
    leads = windows.leads()
    meeting = windows.meeting(move)
    first, second = windows.shares(slopes), windows.shares(meeting)
    better = bends & (PARABOLAS_PAY * _gap(second, leads, move) < ordinary)
    slopes = torch.where(better[:, None], meeting, slopes)
    shares = torch.where(better[:, None], second, first)
    room = windows.room(slopes)
    room = torch.where(better, room, torch.minimum(room, ordinary)) * bends
    dearer = torch.where(better, room - ordinary, 0.0)
    shift = torch.where(better, room + values - heights(slopes), shift)
    masses = 2.0 * torch.minimum(_gap(shares, leads, move), room) / move.clamp(min=TINY)
    masses = masses.clamp(min=LIGHTEST) * bends
    return SharedBall(slopes, shift, room, dearer, leads, shares, masses, radii)


def _gap(shares: Tensor, leads: Tensor, move: Tensor) -> Tensor:
    return (move[:, None] * shares - leads).amax(dim=1).clamp(min=0.0)
