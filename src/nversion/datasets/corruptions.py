"""Images as a camera or a scanner may spoil them: noise, blur, shift, rotation, contrast.

Five kinds in five severities, in the manner of Hendrycks and Dietterich, "Benchmarking neural
network robustness to common corruptions and perturbations", ICLR 2019, and of Mu and Gilmer,
"MNIST-C: a robustness benchmark for computer vision", 2019, whose kinds they are. What is chosen
here are the sizes: lengths are parts of the image's width, so that they mean the same for digits of
8 pixels and of 28, and which random numbers are drawn: they belong to the image (the seed and its
content decide on them), not to its place in a batch, and are the same for every severity.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from nversion.errors import InputError
from nversion.models import check_images
from nversion.naming import did_you_mean
from nversion.randomness import generator

__all__ = ["CORRUPTIONS", "SEVERITIES", "corrupt"]

SEVERITIES = (1, 2, 3, 4, 5)

DEVIATIONS = (0.08, 0.12, 0.18, 0.26, 0.38)
"""Of Gaussian noise, in the range of the pixels; Hendrycks and Dietterich's for ImageNet."""

WIDTHS = (0.02, 0.035, 0.05, 0.07, 0.1)
"""Standard deviations of a Gaussian blur, by the image's width."""

LENGTHS = (0.04, 0.07, 0.11, 0.14, 0.18)
"""Of a shift in a random direction, by the image's width: on 28 pixels one to five."""

ANGLES = (10.0, 20.0, 30.0, 40.0, 50.0)
"""Of a rotation to the left or to the right, in degrees."""

CONTRASTS = (0.4, 0.3, 0.2, 0.1, 0.05)
"""What remains of each pixel's distance from the image's mean; Hendrycks and Dietterich's."""


def corrupt(images: Tensor, kind: str, severity: int, *, seed: int = 0) -> Tensor:
    """Return spoiled images, of the same shape and dtype, in [0, 1].

    Args:
        images: floating [count, channels, height, width] in [0, 1].
        kind: "noise", "blur", "shift", "rotation" or "contrast".
        severity: 1 to 5.
        seed: of what is drawn for each image.

    Raises:
        InputError: malformed images, or an unknown kind or severity.
    """
    check_images(images)
    if kind not in CORRUPTIONS:
        raise InputError(
            f"no corruption is called {kind!r}{did_you_mean(str(kind), CORRUPTIONS)}; there are: "
            f"{', '.join(CORRUPTIONS)}"
        )
    if severity not in SEVERITIES:
        raise InputError(f"severity must be one of 1, 2, 3, 4 and 5, not {severity!r}")
    if len(images) == 0:
        return images.clone()
    spoiled = CORRUPTIONS[kind](images.detach().cpu().float(), severity - 1, seed)
    return spoiled.clamp(0.0, 1.0).to(images)


def _noise(images: Tensor, place: int, seed: int) -> Tensor:
    drawn = [torch.randn(image.shape, generator=_draws(image, "noise", seed)) for image in images]
    return images + DEVIATIONS[place] * torch.stack(drawn)


def _blur(images: Tensor, place: int, seed: int) -> Tensor:
    deviation = WIDTHS[place] * images.shape[3]
    reach = max(1, math.ceil(3 * deviation))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    weights = (-0.5 * (offsets / deviation).square()).exp()
    weights = weights / weights.sum()
    # Term by term: a convolution's sums would depend on the batch.
    for dim, size in ((2, images.shape[2]), (3, images.shape[3])):
        places = (torch.arange(size) + offsets.long()[:, None]).clamp(0, size - 1)
        spread = torch.zeros_like(images)
        for weight, rows in zip(weights.tolist(), places, strict=True):
            spread += weight * images.index_select(dim, rows)
        images = spread
    return images


def _shift(images: Tensor, place: int, seed: int) -> Tensor:
    turns = [torch.rand(1, generator=_draws(image, "shift", seed)) for image in images]
    directions = torch.cat(turns) * 2 * math.pi
    # Affine grids count from -1 to 1: the width is 2.
    far = 2 * LENGTHS[place]
    aspect = images.shape[3] / images.shape[2]
    moves = torch.zeros(len(images), 2, 3)
    moves[:, 0, 0] = moves[:, 1, 1] = 1.0
    moves[:, 0, 2] = far * directions.cos()
    moves[:, 1, 2] = far * directions.sin() * aspect
    return _moved(images, moves)


def _rotation(images: Tensor, place: int, seed: int) -> Tensor:
    drawn = [torch.rand(1, generator=_draws(image, "rotation", seed)) for image in images]
    signs = torch.where(torch.cat(drawn) < 0.5, -1.0, 1.0)
    angles = signs * math.radians(ANGLES[place])
    aspect = images.shape[3] / images.shape[2]
    moves = torch.zeros(len(images), 2, 3)
    moves[:, 0, 0] = moves[:, 1, 1] = angles.cos()
    moves[:, 0, 1] = -angles.sin() / aspect
    moves[:, 1, 0] = angles.sin() * aspect
    return _moved(images, moves)


def _contrast(images: Tensor, place: int, seed: int) -> Tensor:
    means = images.mean(dim=(1, 2, 3), keepdim=True)
    return means + (images - means) * CONTRASTS[place]


def _moved(images: Tensor, moves: Tensor) -> Tensor:
    """Return images whose every point is fetched from where an affine map has it, or is 0."""
    grid = functional.affine_grid(moves, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _draws(image: Tensor, kind: str, seed: int) -> torch.Generator:
    return generator("corruption", kind, seed, image.numpy().tobytes())


CORRUPTIONS: dict[str, Callable[[Tensor, int, int], Tensor]] = {
    "noise": _noise,
    "blur": _blur,
    "shift": _shift,
    "rotation": _rotation,
    "contrast": _contrast,
}
"""What each kind does to images float32 [count, ...], at the place of its severity, by a seed."""
