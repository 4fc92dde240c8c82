"""Bounds of margins at given radii: :func:`margin_bounds`, and for many calls the class behind."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from nversion.certification.ball import Ball, parse_norm
from nversion.certification.bounds.interval_bounds import interval_margins
from nversion.certification.bounds.relaxation import relax_network
from nversion.certification.inputs import Box, check_options, read_network
from nversion.certification.network.graph import Network
from nversion.certification.problem import Problem, Rivals
from nversion.certification.radius.effort import choose_effort, useful_stretches
from nversion.certification.radius.guess import images_per_pass
from nversion.certification.radius.proof import linear_margins
from nversion.certification.radius.search import smaller_balls
from nversion.models import check_images, check_labels
from nversion.modes import ordinary

__all__ = ["MarginBounds", "margin_bounds"]


@ordinary()
def margin_bounds(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    radii: Tensor,
    norm: float | str,
    *,
    box: Box = (0.0, 1.0),
    method: str = "linear",
) -> Tensor:
    """Return sound lower bounds of ``logit[label] - logit[j]`` over each ball.

    Args:
        model: maps [count, channels, height, width] to logits [count, classes].
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count]; any class, not only the predicted one.
        radii: floating [count], not negative.
        norm: 1, 2 or infinity.
        box: the range of valid pixels; None for the plain ball.
        method: as in :func:`nversion.certification.certify`.

    Returns:
        float32 [count, classes], rounded down; 0 in the label's own column.
    """
    check_images(images)
    shape = tuple(images.shape[1:])
    bounds = MarginBounds(model, shape, norm, box=box, method=method, images=images)
    return bounds(images, labels, radii)


class MarginBounds:
    """The bounds of :func:`margin_bounds` for a model that is asked more than once.

    What does not depend on the images is found once.

    Args:
        model: maps [count, channels, height, width] to logits [count, classes]; must not change
            afterwards.
        shape: of an image.
        norm: 1, 2 or infinity.
        box: the range of valid pixels; None for the plain ball.
        method: as in :func:`nversion.certification.certify`.
        images: floating [count, *shape], those at hand, if they are known: what was traced is
            compared with the model on them, besides random ones.

    Raises:
        InputError: a malformed argument.
        UnsupportedModuleError: the model holds a module that cannot be bounded; it is named. Or
            it does not compute what was traced (:mod:`nversion.certification.network.faithful`).
    """

    @ordinary()
    def __init__(
        self,
        model: nn.Module,
        shape: tuple[int, ...],
        norm: float | str,
        *,
        box: Box = (0.0, 1.0),
        method: str = "linear",
        images: Tensor | None = None,
    ) -> None:
        check_options(method, box)
        self._ball = Ball(parse_norm(norm), box)
        self._method = method
        _, network = read_network(model, shape, images)
        self._network = network.to(torch.float64)
        self._effort = choose_effort(self._network, self._ball)
        self._stretches = useful_stretches(self._network, self._ball)

    @ordinary()
    def __call__(self, images: Tensor, labels: Tensor, radii: Tensor) -> Tensor:
        """Return the lower bounds, float32 [count, classes] (see :func:`margin_bounds`).

        Raises:
            InputError: a malformed argument.
        """
        check_images(images)
        network = self._network.to(torch.float64, images.device)
        check_labels(labels, len(images), network.classes)
        labels = labels.to(images.device)
        rivals = Rivals.every(labels, network.classes)
        problem = Problem(images.detach().to(torch.float64), rivals, self._ball)
        radii = radii.to(device=images.device, dtype=torch.float64)
        bounds = interval_margins(network, problem.region(radii), labels, self._stretches)
        if self._method != "interval" and len(images):
            for chosen in torch.split(problem.numbers, images_per_pass(network)):
                linear = self._linear(network, problem.rows(chosen), radii[chosen])
                bounds[chosen] = torch.maximum(bounds[chosen], linear)
        rounded = torch.where(bounds.isnan(), -torch.inf, bounds).to(torch.float32)
        below = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
        return below.scatter(1, labels[:, None], 0.0)

    def _linear(self, network: Network, problem: Problem, radii: Tensor) -> Tensor:
        inner = smaller_balls(network, problem, radii, self._effort, self._stretches)
        use = dataclasses.replace(self._effort.bounding(self._stretches), inner=inner)
        relaxation = relax_network(network, problem.region(radii), use)
        return linear_margins(relaxation, problem.rivals, inner)
