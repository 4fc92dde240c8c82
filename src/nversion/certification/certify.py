"""The public call :func:`certify`: radii within which no change of an image changes its class."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from nversion.arguments import typed
from nversion.certification.ball import Ball, parse_norm
from nversion.certification.bounds.relaxation import Bounding, relax_network
from nversion.certification.inputs import Box, check_options, read_network
from nversion.certification.lipschitz.moves import Stretches
from nversion.certification.margins import MarginBounds, margin_bounds
from nversion.certification.network.graph import Network
from nversion.certification.problem import Problem
from nversion.certification.radius.alpha import optimised_radii
from nversion.certification.radius.bisection import bisected_radii
from nversion.certification.radius.effort import useful_stretches
from nversion.certification.radius.guess import images_per_pass
from nversion.certification.radius.proof import linear_margins
from nversion.certification.radius.search import search_radii
from nversion.certification.rounding import rounded_down
from nversion.certification.targets import Target, rivals_of
from nversion.errors import ThinLeadWarning
from nversion.models import check_images, check_labels, evaluate, frozen
from nversion.modes import ordinary

__all__ = ["MarginBounds", "certify", "margin_bounds"]


@typed
@ordinary()
def certify(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: float | str,
    *,
    method: str = "linear",
    box: Box = (0.0, 1.0),
    target: Target = None,
    seed: int = 0,
    steps: int = 40,
) -> Tensor:
    """Return radii within which no change of the image changes the class, float32 [count].

    The radius of an image is sound: no image within it (and within the box) is classified
    otherwise, as the model evaluates it, rounding included
    (:mod:`nversion.certification.bounds.evaluation`). It is a lower bound of the smallest
    adversarial distortion, and infinite where no image at all (in the box) is classified otherwise.

    Args:
        model: maps [count, channels, height, width] to logits [count, classes].
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count]; a misclassified image has the radius 0.
        norm: 1, 2 or infinity (a float, or "inf").
        method: "interval" (fast and loose), "linear" (backward linear relaxation) or "alpha"
            (the same with optimised slopes, slower and tighter).
        box: the range of valid pixels, which changed images keep; None for the plain ball.
        target: None: the class must not change at all. An int64 tensor [count]: it must not
            change to that class. "random": one class drawn per image that is neither the label,
            the runner-up nor the least likely, which is what CNN-Cert's script measures.
        seed: for the random targets.
        steps: how many times "alpha" improves its slopes.

    Warns:
        ThinLeadWarning: the radius of some images is 0 because the rounding of the model's own
            evaluation may change their class.

    Raises:
        InputError: a malformed argument.
        UnsupportedModuleError: the model holds a module that cannot be bounded; it is named. Or
            it does not compute what was traced (:mod:`nversion.certification.network.faithful`).
    """
    check_images(images)
    check_labels(labels, len(images))
    check_options(method, box)
    ball = Ball(parse_norm(norm), box)
    images, labels = images.detach().contiguous(), labels.to(images.device)
    network, logits = _evaluated(model, images)
    check_labels(labels, len(images), logits.shape[1])
    rivals = rivals_of(logits, labels, target, seed)
    correct = (logits.argmax(dim=1) == labels) & logits.isfinite().all(dim=1)
    radii = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    rows = correct.nonzero().squeeze(1)
    if len(rows):
        problem = Problem(images.to(torch.float64), rivals, ball).rows(rows)
        stretches = useful_stretches(network, ball, thorough=method == "alpha")
        if method == "interval":
            found = bisected_radii(network, problem, stretches)
        else:
            found = _searched(network, problem, stretches, steps if method == "alpha" else 0)
        # Of numbers that are infinite, or none, nothing is known.
        found = torch.where(found.isnan(), 0.0, found)
        _warn_of_thin_leads(network, problem, stretches, found)
        constant = stretches.nodes[-1] == 0.0
        radii[rows] = _unbounded(problem, found, constant)
    return rounded_down(radii)


def _evaluated(model: nn.Module, images: Tensor) -> tuple[Network, Tensor]:
    """Return the network that a model computes, in float64, and its logits, [count, classes]."""
    model, network = read_network(model, tuple(images.shape[1:]), images)
    network = network.to(torch.float64, images.device)
    if len(images) == 0:
        return network, images.new_zeros(0, network.classes, dtype=torch.float32)
    with frozen(model):
        return network, evaluate(model, images)


def _searched(network: Network, problem: Problem, stretches: Stretches, steps: int) -> Tensor:
    """Return the radii, float64 [count], of linear bounds, with slopes improved in `steps`."""
    radii = problem.images.new_zeros(len(problem))
    for chosen in torch.split(problem.numbers, images_per_pass(network)):
        part = problem.rows(chosen)
        if steps:
            radii[chosen] = optimised_radii(network, part, steps, stretches)
        else:
            radii[chosen] = search_radii(network, part, stretches=stretches)
    return radii


def _warn_of_thin_leads(
    network: Network, problem: Problem, stretches: Stretches, radii: Tensor
) -> None:
    """Say for how many images rounding alone may change the class, so that they have no radius."""
    rows = (radii == 0).nonzero().squeeze(1)
    if len(rows) == 0:
        return
    unsure, use = 0, Bounding(stretches=stretches.apart())
    for chosen in torch.split(rows, images_per_pass(network)):
        part = problem.rows(chosen)
        relaxation = relax_network(network, part.region(radii[chosen]), use)
        unsure += int((linear_margins(relaxation, part.rivals).amin(dim=1) <= 0).sum())
    if unsure:
        warnings.warn(
            f"{unsure} of {len(radii)} images have the radius 0 because what rounding may do "
            "when the model is evaluated is more than their class leads by; evaluate the model in "
            "a higher precision, or fold large numbers that cancel into its weights",
            ThinLeadWarning,
            stacklevel=5,  # below the decorators of the public call
        )


def _unbounded(problem: Problem, radii: Tensor, constant: bool) -> Tensor:
    """Return the radii, infinite where no image at all is classified otherwise.

    Args:
        problem: the images.
        radii: that are proved, [count].
        constant: whether the network gives the same logits for all images.
    """
    ball = problem.ball
    limit = torch.full_like(radii, torch.inf)
    if ball.box is not None:
        reach = ball.reach(problem.images)
        assert reach.down is not None
        assert reach.up is not None
        farthest = torch.maximum(reach.down, reach.up).flatten(1)
        limit = torch.linalg.vector_norm(farthest, ord=ball.norm, dim=1)
    everywhere = radii >= limit
    if constant:
        everywhere = everywhere | (radii > 0)
    return torch.where(everywhere, torch.inf, radii)
