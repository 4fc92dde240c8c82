"""ADef: adversarial deformations (Alaifari, Alberti & Gauksson 2019).

"ADef: an iterative algorithm to construct adversarial deformations", ICLR 2019. Pixels keep their
values but change their places: y(u) = x(u + field(u)). For each candidate class the first-order
least-squares field that closes the gap between its logit and the label's is

    field = -gap / |S a|^2 * S S a,    a = sum over channels of (d gap / d y) * (grad y),

where S smooths with a Gaussian; the candidate that makes the whole field smallest in L2 is added to
the field so far, until the model is fooled. As in Foolbox 2.4, whose defaults these are: candidates
are the likeliest classes, the label's aside; grad y is taken by central differences of the deformed
image; the sum of all fields always deforms the original, bilinearly, and places outside the image
read its border; the Gaussian is cut off at four standard deviations and reflected at the border,
as scipy's. Chosen here:

- Each step aims past the boundary by `overshoot` of the original's gap (and by the margin that a
  success needs). Aimed at the boundary itself, many images come ever nearer to it and never cross.
- Then the field is scaled down as far as the deformed image stays adversarial.
- Fields that are sums of many steps are longer than need be, and each step has aimed at its own
  class. So in the end the least-squares field is sought anew from nothing, `refinements` times:
  the smallest one S S a that closes the gap of a linear model, which is a running mean of the
  linearisations at the fields met (:func:`nversion.attacks.linearised.finish`). What is returned is
  no larger than the scaled field, as a field and in the L2 distance of the images.
- An image whose field exceeds `max_norm` is given up (the paper's stopping rule).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import (
    excess_margins,
    is_adversarial,
    pair_margin,
    success_margin,
)
from nversion.attacks.linearised import Finish, Linearised, Slope, finish, margin_slope
from nversion.attacks.nearest import Nearest
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register
from nversion.bracket import Bracket

__all__ = ["ADef", "deform", "gaussian"]

TRUNCATE = 4.0
"""The Gaussian's radius in standard deviations."""

SCALINGS = 4
"""Evaluations to find the scale of the field by."""

REFINED = Finish(extra=0.01, relax=0.7, tighten=1.5, last_step=0.1)
"""How the field is sought anew."""


@register
@dataclasses.dataclass(frozen=True)
class ADef(Attack):
    """Deform the image by the smallest smooth vector field, step by step.

    Attributes:
        max_iter: steps at the most.
        max_norm: largest L2 norm of the field, in pixels (over all pixels and both axes); None sets
            no limit.
        smooth: standard deviation of the Gaussian in pixels; 0 does not smooth.
        subsample: the likeliest classes looked at, the label's among them.
        overshoot: how far past the boundary a step aims, relative to the original's gap.
        refinements: how often a smaller field is sought from the one found; 0 leaves that.
    """

    max_iter: int = 100
    max_norm: float | None = None
    smooth: float = 1.0
    subsample: int = 10
    overshoot: float = 0.02
    refinements: int = 5

    name: ClassVar[str] = "adef"
    norm: ClassVar[str] = "l2"
    paper: ClassVar[str] = "Alaifari et al. 2018"

    def __post_init__(self) -> None:
        check_count("max_iter", self.max_iter)
        check_count("subsample", self.subsample, low=2)
        check_option("smooth", self.smooth, positive=False)
        check_option("overshoot", self.overshoot, positive=False)
        check_count("refinements", self.refinements, low=0)
        if self.max_norm is not None:
            check_option("max_norm", self.max_norm)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the deformed images; the original where no deformation was adversarial."""
        if min(images.shape[2:]) < 2:
            return images
        return deform(images, self.fields(oracle, images, labels))

    def fields(self, oracle: Oracle, images: Tensor, labels: Tensor) -> Tensor:
        """Return the vector fields that the images are deformed by, in pixels.

        Args:
            oracle: answers for the attacked model.
            images: float32 [count, channels, height, width], at least 2 pixels high and wide.
            labels: int64 [count].

        Returns:
            float32 [count, 2 (x, y), height, width]; zero where no deformation was adversarial.
        """
        fields, fooled = self._accumulated(oracle, images, labels)
        rows = fooled.nonzero().squeeze(1)
        result = torch.zeros_like(fields)
        if len(rows) > 0:
            given = images[rows], labels[rows]
            scaled = _scaled_down(oracle, given[0], fields[rows], given[1])
            result[rows] = self._refined(oracle, given[0], scaled, given[1])
        return result

    def _accumulated(self, oracle: Oracle, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the sums of the paper's steps, like :meth:`fields`, and which ones fool."""
        largest = math.inf if self.max_norm is None else self.max_norm
        fields = torch.zeros_like(images[:, :1]).expand(-1, 2, -1, -1).clone()
        fooled = torch.zeros_like(labels, dtype=torch.bool)
        wanted, aims = self._candidates(oracle, images, labels)
        rows = torch.arange(len(images), device=images.device)
        deformed = images
        for _ in range(self.max_iter):
            chosen = torch.cat([labels[rows, None], wanted[rows]], dim=1)
            seen, gradients = oracle.jacobian(deformed, chosen)
            seen = seen.gather(1, chosen)
            gaps = seen[:, 1:] - seen[:, :1] + aims[rows]
            steps = self._steps(deformed, gaps, gradients[:, 1:] - gradients[:, :1])
            field, norms = _smallest(fields[rows, None] + steps)
            fields[rows] = field
            deformed = deform(images[rows], field)
            hit = is_adversarial(oracle.logits(deformed), labels[rows], oracle.dtype)
            fooled[rows] = hit & (norms <= largest)
            # No step, no way: where the gradient vanishes the norm is infinite.
            going = ~hit & (norms <= largest) & norms.isfinite()
            rows, deformed = rows[going], deformed[going]
            if len(rows) == 0:
                break
        return fields, fooled

    def _candidates(self, oracle: Oracle, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the likeliest other classes, int64 [count, some], and how far past each to aim."""
        logits = oracle.logits(images)
        others = logits.scatter(1, labels[:, None], -torch.inf)
        wanted = others.sort(dim=1, descending=True, stable=True).indices
        wanted = wanted[:, : min(self.subsample, logits.shape[1]) - 1]
        theirs, own = logits.gather(1, wanted), logits.gather(1, labels[:, None])
        return wanted, self.overshoot * (theirs - own) - pair_margin(theirs, own, oracle.dtype)

    def _refined(self, oracle: Oracle, images: Tensor, fields: Tensor, labels: Tensor) -> Tensor:
        """Return adversarial fields no larger than `fields`, which are (see the module)."""
        if self.refinements == 0:
            return fields
        nearest = Nearest(torch.zeros_like(fields))
        every = torch.arange(len(fields), device=fields.device)
        nearest.keep(every, fields, torch.ones_like(labels, dtype=torch.bool), _squared(fields))
        kind = functools.partial(_Deformations, smooth=self.smooth)
        how = dataclasses.replace(REFINED, steps=self.refinements)
        finish(nearest, _field_slope(oracle, images, labels), how, kind)
        refined = _scaled_down(oracle, images, nearest.points, labels)
        before, after = (_squared(deform(images, one) - images) for one in (fields, refined))
        return torch.where(columns(after <= before), refined, fields)

    def _steps(self, deformed: Tensor, gaps: Tensor, gradients: Tensor) -> Tensor:
        """Return each candidate's field, float32 [count, candidates, 2 (x, y), height, width].

        Infinite where the gap cannot be closed because its gradient vanishes.

        Args:
            deformed: float32 [count, channels, height, width].
            gaps: float32 [count, candidates], below zero.
            gradients: float32 [count, candidates, channels, height, width], of the gaps.
        """
        slopes = torch.stack(differences(deformed), dim=1)[:, None]
        alphas = gaussian((gradients[:, :, None] * slopes).sum(dim=3), self.smooth)
        squares = sums(alphas.flatten(0, 1).square()).view_as(gaps)
        scales = torch.where(squares > 0, -gaps / squares, torch.inf)
        fields = scales[:, :, None, None, None] * gaussian(alphas, self.smooth)
        return torch.where(scales.isfinite()[:, :, None, None, None], fields, torch.inf)


def _smallest(fields: Tensor) -> tuple[Tensor, Tensor]:
    """Return the candidate field [count, 2, height, width] of least norm, and its norm [count].

    Zero, and infinite, where no candidate is finite.
    """
    squares = sums(fields.flatten(0, 1).square()).view(fields.shape[:2])
    squares, best = squares.nan_to_num(torch.inf, torch.inf).min(dim=1)
    field = fields[torch.arange(len(fields), device=fields.device), best]
    return torch.where(columns(squares.isfinite()), field, 0.0), squares.sqrt()


def differences(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return central differences along x and y, one-sided at the borders, like `images`."""

    def along_rows(values: Tensor) -> Tensor:
        inner = (values[..., 2:] - values[..., :-2]) / 2
        first = values[..., 1:2] - values[..., :1]
        last = values[..., -1:] - values[..., -2:-1]
        return torch.cat([first, inner, last], dim=-1)

    return along_rows(images), along_rows(images.transpose(-1, -2)).transpose(-1, -2)


def gaussian(values: Tensor, deviation: float) -> Tensor:
    """Return `values` [..., height, width] smoothed by a Gaussian, as scipy's gaussian_filter does.

    By sums of shifted copies, each element by itself: the same bits in every batch.
    """
    radius = int(TRUNCATE * deviation + 0.5)
    if radius == 0:
        return values
    kernel = [math.exp(-0.5 * (k / deviation) ** 2) for k in range(radius + 1)]
    total = kernel[0] + 2.0 * sum(kernel[1:])
    for axis in (-1, -2):
        size = values.shape[axis]
        # Reflected about the outer edges of the border pixels: (d c b a | a b c d | d c b a).
        places = torch.arange(-radius, size + radius, device=values.device) % (2 * size)
        places = torch.where(places < size, places, 2 * size - 1 - places)
        padded = values.index_select(axis, places)
        values = (kernel[0] / total) * padded.narrow(axis, radius, size)
        for k in range(1, radius + 1):
            left = padded.narrow(axis, radius - k, size)
            right = padded.narrow(axis, radius + k, size)
            values = values + (kernel[k] / total) * (left + right)
    return values


def deform(images: Tensor, fields: Tensor) -> Tensor:
    """Return images read at places moved by fields, bilinearly and within the image.

    Written out rather than by ``grid_sample``, whose normalised coordinates round: pixels that are
    not moved keep their value to the last bit.

    Args:
        images: float32 [count, channels, height, width], at least 2 pixels high and wide.
        fields: float32 [count, 2 (x, y), height, width], in pixels.
    """
    _, channels, height, width = images.shape
    ruler = torch.arange(max(height, width), device=images.device, dtype=images.dtype)
    x = (ruler[:width] + fields[:, 0]).clamp(0, width - 1)
    y = (ruler[:height, None] + fields[:, 1]).clamp(0, height - 1)
    left, top = x.floor().clamp(max=width - 2), y.floor().clamp(max=height - 2)
    across, down = (x - left)[:, None], (y - top)[:, None]
    corner = (top * width + left).long().flatten(1)[:, None].expand(-1, channels, -1)
    flat = images.flatten(2)
    upper, upper_next, lower, lower_next = (
        flat.gather(2, corner + offset).view_as(images) for offset in (0, 1, width, width + 1)
    )
    upper = upper + across * (upper_next - upper)
    lower = lower + across * (lower_next - lower)
    return upper + down * (lower - upper)


def _squared(changes: Tensor) -> Tensor:
    return sums(changes.square())


def _scaled_down(oracle: Oracle, images: Tensor, fields: Tensor, labels: Tensor) -> Tensor:
    """Return the smallest share of each field that is adversarial, as far as it is found.

    By false positions (:mod:`nversion.bracket`). That comes so near to the boundary that the margin
    which a success needs is asked for twice: else the rounding of another batch could undo it.
    """

    def margin(shares: Tensor) -> tuple[Tensor, Tensor]:
        logits = oracle.logits(deform(images, columns(shares) * fields))
        excess = excess_margins(logits, labels, oracle.dtype)
        excess = excess - success_margin(logits, labels, oracle.dtype)
        held = is_adversarial(logits, labels, oracle.dtype) & (excess > 0)
        return held, torch.where(held, excess, excess.nan_to_num(-1.0).clamp(max=0.0))

    none = torch.zeros_like(labels, dtype=images.dtype)
    whole, rows = torch.ones_like(none), torch.arange(len(none), device=none.device)
    bracket = Bracket.between(none, whole, margin(none)[1], margin(whole)[1])
    for _ in range(SCALINGS):
        below, above = bracket.low_value, bracket.high_value
        position = (below / (below - above)).nan_to_num(0.5).clamp(0.02, 0.98)
        middle = bracket.low + position * (bracket.high - bracket.low)
        held, seen = margin(middle)
        bracket.move(rows, middle, seen, held)
    return columns(bracket.high) * fields


@dataclasses.dataclass
class _Deformations(Linearised):
    """Linear models of margins as functions of the vector field, around no deformation.

    Attributes:
        smooth: standard deviation of the Gaussian in pixels.
    """

    smooth: float = 1.0

    def nearest(self, extra: Tensor) -> Tensor:
        """Return the smallest smooth fields by which the models say `extra`.

        Zero where no field does.
        """
        alphas = gaussian(self.normals, self.smooth)
        scales = (extra - self.values).clamp(min=0.0) / _squared(alphas)
        scales = scales.nan_to_num(0.0, 0.0, 0.0)
        return columns(scales) * gaussian(alphas, self.smooth)


def _field_slope(oracle: Oracle, images: Tensor, labels: Tensor) -> Slope:
    """Return what :func:`finish` asks for, as a function of fields: lacks and gradients."""
    of_images = margin_slope(oracle, labels)

    def slope(fields: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        deformed = deform(images[rows], fields)
        lacks, gradients = of_images(deformed, rows)
        along = [(gradients * one).sum(dim=1) for one in differences(deformed)]
        return lacks, torch.stack(along, dim=1)

    return slope
