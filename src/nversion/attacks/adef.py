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
- In the end the field is scaled down as far as the deformed image stays adversarial.
- An image whose field exceeds `max_norm` is given up (the paper's stopping rule).
"""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.ball import columns, sums
from nversion.attacks.base import Attack, check_count, check_option
from nversion.attacks.criteria import is_adversarial, pair_margin
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register

__all__ = ["ADef", "deform", "gaussian"]

TRUNCATE = 4.0
"""The Gaussian's radius in standard deviations."""

BISECTIONS = 10
"""The final scale of the field is found to within 2^-10."""


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
    """

    max_iter: int = 100
    max_norm: float | None = None
    smooth: float = 1.0
    subsample: int = 10
    overshoot: float = 0.02

    name: ClassVar[str] = "adef"
    norm: ClassVar[str] = "l2"

    def __post_init__(self) -> None:
        check_count("max_iter", self.max_iter)
        check_count("subsample", self.subsample, low=2)
        check_option("smooth", self.smooth, positive=False)
        check_option("overshoot", self.overshoot, positive=False)
        if self.max_norm is not None:
            check_option("max_norm", self.max_norm)

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return the deformed images; the original where no deformation was adversarial."""
        if min(images.shape[2:]) < 2:
            return images
        largest = math.inf if self.max_norm is None else self.max_norm
        fields = torch.zeros_like(images[:, :1]).expand(-1, 2, -1, -1).clone()
        fooled = torch.zeros_like(labels, dtype=torch.bool)
        logits = oracle.logits(images)
        others = logits.scatter(1, labels[:, None], -torch.inf)
        wanted = others.sort(dim=1, descending=True, stable=True).indices
        wanted = wanted[:, : min(self.subsample, logits.shape[1]) - 1]
        theirs, own = logits.gather(1, wanted), logits.gather(1, labels[:, None])
        aims = self.overshoot * (theirs - own) - pair_margin(theirs, own, oracle.dtype)
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
        result = images.clone()
        rows = fooled.nonzero().squeeze(1)
        if len(rows) > 0:
            result[rows] = _scaled_down(oracle, images[rows], fields[rows], labels[rows])
        return result

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


def _scaled_down(oracle: Oracle, images: Tensor, fields: Tensor, labels: Tensor) -> Tensor:
    """Return adversarial deformations by the smallest share of each field that bisection finds."""
    low = torch.zeros_like(labels, dtype=images.dtype)
    high = torch.ones_like(low)
    best = deform(images, fields)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        tried = deform(images, columns(middle) * fields)
        held = is_adversarial(oracle.logits(tried), labels, oracle.dtype)
        best = torch.where(columns(held), tried, best)
        low, high = torch.where(held, low, middle), torch.where(held, middle, high)
    return best
