"""Structural similarity (SSIM) of two images, as one number for what a person compares.

Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", IEEE Transactions on Image Processing 13(4), 2004, equations 13 to 17: local means,
variances and covariances under a Gaussian window of 11 x 11 pixels with a standard deviation of
1.5, K1 = 0.01, K2 = 0.03, averaged over all window positions that lie inside the image.

Two things to know when reading it. A perturbation on a flat background counts heavily, because the
original has no structure there that could mask it; on a black background that is what a person
sees, too. And an image smaller than the window gets a smaller window (the largest odd size that
fits), so values of 8 x 8 and of 28 x 28 images are not comparable to the last digit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from nversion.errors import InputError
from nversion.models import check_images

__all__ = ["structural_similarity"]

WINDOW = 11
DEVIATION = 1.5
K1 = 0.01
K2 = 0.03


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean SSIM of each pair of images, float32 [count]; 1 where they are equal.

    Args:
        first: floating [count, channels, height, width] in [0, 1].
        second: likewise, of the same shape; channels are averaged.

    Raises:
        InputError: malformed images, or shapes that differ.
    """
    check_images(first, "first")
    check_images(second, "second")
    if first.shape != second.shape:
        raise InputError(
            f"the images must have one shape, not {list(first.shape)} and {list(second.shape)}"
        )
    count, channels, height, width = first.shape
    if count == 0:
        return torch.zeros(0)
    window = _window(height, width)
    x = first.detach().double().reshape(count * channels, 1, height, width)
    y = second.detach().double().reshape(count * channels, 1, height, width)

    def local_mean(values: Tensor) -> Tensor:
        return functional.conv2d(values, window.to(values.device))

    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x = local_mean(x * x) - mean_x.square()
    variance_y = local_mean(y * y) - mean_y.square()
    covariance = local_mean(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + K1**2) / (mean_x.square() + mean_y.square() + K1**2)
    structure = (2 * covariance + K2**2) / (variance_x + variance_y + K2**2)
    values = (luminance * structure).flatten(1).mean(dim=1)
    return values.reshape(count, channels).mean(dim=1).to(torch.float32)


def _window(height: int, width: int) -> Tensor:
    """Return the Gaussian window, float64 [1, 1, rows, columns], which sums to 1."""

    def weights(length: int) -> Tensor:
        size = min(WINDOW, length if length % 2 else length - 1)
        offsets = torch.arange(max(size, 1), dtype=torch.float64)
        offsets = offsets - offsets.mean()
        bell = torch.exp(-offsets.square() / (2 * DEVIATION**2))
        return bell / bell.sum()

    return torch.outer(weights(height), weights(width))[None, None]
