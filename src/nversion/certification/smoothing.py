"""Randomised smoothing: L2 certificates for any model, that hold with a stated confidence.

Cohen, Rosenfeld and Kolter, "Certified adversarial robustness via randomized smoothing", ICML
2019. The certificate is not for the model itself but for its smoothed version, which gives each
image the class that the model gives most often when Gaussian noise of standard deviation sigma is
added. If the model gives class A with probability p > 1/2 under the noise, the smoothed version
gives A everywhere within the L2 radius sigma * Phi^-1(p) (their theorem 1, with p_B <= 1 - p_A).
p is known by sampling only: A is chosen from a first, small sample, and p is bounded from below by
Clopper and Pearson's exact interval (Biometrika 26, 1934) on a second one.

The model sees noisy images, which leave [0, 1]; it is usually trained with the same noise.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.certification.rounding import rounded_down
from nversion.errors import InputError
from nversion.models import check_images, check_labels, evaluate, frozen
from nversion.modes import ordinary
from nversion.randomness import generator
from nversion.repeats import FEW, check_repeats

__all__ = ["SmoothingResult", "certify_smoothing", "clopper_pearson_lower"]

BLOCK = 256
"""Noisy copies that are drawn and evaluated at once; a fixed number, as PyTorch's normal numbers
depend on how many are asked for at a time."""


@dataclasses.dataclass(frozen=True)
class SmoothingResult:
    """What randomised smoothing certified, image by image.

    Attributes:
        labels: the smoothed model's classes, int64 [count]; -1 where it abstains, because the
            samples do not show any class to be more likely than all others together.
        radii: L2 radii within which the smoothed model keeps its class, float32 [count]; 0 where
            it abstains. Not limited to valid images.
        lower_bounds: of the class's probability under the noise, float64 [count].
        confidence: the probability, for each image by itself, that what is said of it is true.
            For all of many images together take the sum of what is missing from 1.
        sigma: the noise's standard deviation, in pixel values.
        samples: how many noisy copies each bound rests on.
    """

    labels: Tensor
    radii: Tensor
    lower_bounds: Tensor
    confidence: float
    sigma: float
    samples: int

    def radii_for(self, labels: Tensor) -> Tensor:
        """Return the radii, float32 [count], with 0 where the class is not the label.

        Raises:
            InputError: `labels` are not int64 [count].
        """
        check_labels(labels, len(self.labels))
        right = self.labels == labels.to(self.labels.device)
        return torch.where(right, self.radii, torch.zeros_like(self.radii))


def clopper_pearson_lower(successes: int, tried: int, confidence: float) -> float:
    """Return a lower bound of a probability that holds with `confidence`, one-sided.

    Args:
        successes: how often the event came, in [0, tried].
        tried: how many independent tries there were, at least 1.
        confidence: in (0, 1).
    """
    if successes == 0:
        return 0.0
    from scipy.stats import beta  # slow to import, and most programs never smooth

    # What binomtest().proportion_ci(method="exact") looks for as a root, and finds but for 1e-12:
    # at times above it, where a bound from below must not be.
    return float(beta.ppf(1.0 - confidence, successes, tried - successes + 1))


@typed
@ordinary()
def certify_smoothing(
    model: nn.Module,
    images: Tensor,
    sigma: float,
    *,
    samples0: int = 100,
    samples: int = 10_000,
    confidence: float = 0.999,
    seed: int = 0,
) -> SmoothingResult:
    """Certify the smoothed version of `model` around each image.

    One seed and one image give one result, alone or in any batch.

    Args:
        model: maps images to logits [count, classes]; any module, traceable or not.
        images: floating [count, channels, height, width] in [0, 1].
        sigma: the noise's standard deviation, in pixel values. The largest radius that can be
            certified is sigma * Phi^-1((1 - confidence)^(1 / samples)), 3.2 sigma by default.
        samples0: noisy copies from which the class is chosen.
        samples: noisy copies from which its probability is bounded.
        confidence: that each certificate is true.
        seed: of the noise.

    Raises:
        InputError: a malformed argument.
        UnsupportedModuleError: the model's answers do not repeat: it draws at random itself, or
            changes from call to call. The copies of one batch would not be independent then.
    """
    check_images(images)
    if not (math.isfinite(sigma) and sigma > 0):
        raise InputError(f"sigma must be a positive number, not {sigma!r}")
    for name, value in (("samples0", samples0), ("samples", samples)):
        if value < 1:
            raise InputError(f"{name} must be at least 1, not {value!r}")
    if not 0.5 < confidence < 1.0:
        raise InputError(f"confidence must lie in (0.5, 1), not {confidence!r}")
    labels = torch.full((len(images),), -1, dtype=torch.int64)
    bounds = torch.zeros(len(images), dtype=torch.float64)
    with frozen(model):
        if len(images):
            check_repeats(model, images[:FEW], "a certificate")
        for place, image in enumerate(images.detach()):
            own = _noise_of(image, seed)
            guess = int(_counts(model, image, sigma, samples0, own).argmax())
            counts = _counts(model, image, sigma, samples, own)
            bound = clopper_pearson_lower(int(counts[guess]), samples, confidence)
            bounds[place] = bound
            if bound > 0.5:
                labels[place] = guess
    from scipy.stats import norm

    quantiles = torch.from_numpy(np.asarray(norm.ppf(bounds.numpy())))
    radii = rounded_down(torch.where(labels >= 0, sigma * quantiles, 0.0))
    device = images.device
    return SmoothingResult(
        labels.to(device), radii.to(device), bounds.to(device), confidence, sigma, samples
    )


def _noise_of(image: Tensor, seed: int) -> torch.Generator:
    content = image.to(device="cpu", dtype=torch.float32).contiguous().numpy().tobytes()
    return generator(seed, "smoothing", content)


def _counts(
    model: nn.Module, image: Tensor, sigma: float, samples: int, noise: torch.Generator
) -> Tensor:
    """Return how many noisy copies of `image` got each class, int64 [classes].

    Copies whose logits are not finite count for no class.
    """
    counts = torch.zeros(0, dtype=torch.int64)
    for start in range(0, samples, BLOCK):
        wanted = min(BLOCK, samples - start)
        drawn = torch.randn((BLOCK, *image.shape), generator=noise)[:wanted]
        noisy = image.to(torch.float32) + sigma * drawn.to(image.device)
        logits = evaluate(model, noisy)
        chosen = logits.argmax(dim=1)[logits.isfinite().all(dim=1)]
        found = torch.bincount(chosen.cpu(), minlength=logits.shape[1])
        counts = found if start == 0 else counts + found
    return counts
