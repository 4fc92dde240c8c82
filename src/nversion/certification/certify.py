"""The public calls: :func:`certify` gives radii, :func:`margin_bounds` bounds at given radii."""

from __future__ import annotations

import dataclasses
import warnings

import torch
from torch import Tensor, nn

from nversion.certification.ball import LARGEST_RADIUS, Ball, parse_norm
from nversion.certification.bounds.interval_bounds import interval_margins
from nversion.certification.bounds.relaxation import relax_network
from nversion.certification.lipschitz.stretches import Stretches
from nversion.certification.network.faithful import faithful_network
from nversion.certification.network.graph import Network
from nversion.certification.radius.alpha import optimised_radii
from nversion.certification.radius.effort import choose_effort, useful_stretches
from nversion.certification.radius.proof import linear_margins
from nversion.certification.radius.search import images_per_pass, search_radii, smaller_balls
from nversion.certification.rounding import rounded_down
from nversion.errors import InputError, ThinLeadWarning
from nversion.models import check_images, check_labels, evaluate, frozen
from nversion.modes import ordinary
from nversion.naming import did_you_mean
from nversion.randomness import generator
from nversion.recognition import reader

__all__ = ["METHODS", "MarginBounds", "certify", "margin_bounds", "random_targets"]

METHODS = ("interval", "linear", "alpha")

Target = str | Tensor | None


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is to be certified: images, labels and which classes must stay below the label.

    Attributes:
        network: in float64.
        images: float64 [count, *shape].
        labels: int64 [count].
        rivals: bool [count, classes]; never the label itself.
        ball: the norm and the box.
        stretches: of the network's nodes.
    """

    network: Network
    images: Tensor
    labels: Tensor
    rivals: Tensor
    ball: Ball
    stretches: Stretches

    def rows(self, chosen: Tensor) -> Problem:
        """Return the problem for some of the images."""
        return dataclasses.replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            rivals=self.rivals[chosen],
        )


@ordinary()
def certify(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: float | str,
    *,
    method: str = "linear",
    box: tuple[float, float] | None = (0.0, 1.0),
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
    problem, correct = _problem(model, images, labels, norm, box, method, target, seed)
    radii = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    rows = correct.nonzero().squeeze(1)
    if len(rows):
        chosen = problem.rows(rows)
        found = (
            _bisect(chosen)
            if method == "interval"
            else _search(chosen, steps if method == "alpha" else 0)
        )
        # Of numbers that are infinite, or none, nothing is known.
        found = torch.where(found.isnan(), 0.0, found)
        _warn_of_thin_leads(chosen, found)
        radii[rows] = _unbounded(chosen, found)
    return rounded_down(radii)


@ordinary()
def margin_bounds(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    radii: Tensor,
    norm: float | str,
    *,
    box: tuple[float, float] | None = (0.0, 1.0),
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
        method: as in :func:`certify`.

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
        method: as in :func:`certify`.
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
        box: tuple[float, float] | None = (0.0, 1.0),
        method: str = "linear",
        images: Tensor | None = None,
    ) -> None:
        _check_options(method, box)
        self._ball = Ball(parse_norm(norm), box)
        self._method = method
        _, network = _read(model, shape, images)
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
        images = images.detach().to(torch.float64)
        radii = radii.to(device=images.device, dtype=torch.float64)
        bounds = interval_margins(network, images, labels, radii, self._ball, self._stretches)
        if self._method != "interval" and len(images):
            others = torch.arange(bounds.shape[1], device=bounds.device).expand_as(bounds)
            size = images_per_pass(network)
            for first in range(0, len(images), size):
                part = slice(first, first + size)
                linear = self._linear(
                    network, images[part], labels[part], others[part], radii[part]
                )
                bounds[part] = torch.maximum(bounds[part], linear)
        rounded = torch.where(bounds.isnan(), -torch.inf, bounds).to(torch.float32)
        below = torch.nextafter(rounded, torch.full_like(rounded, -torch.inf))
        return below.scatter(1, labels[:, None], 0.0)

    def _linear(
        self, network: Network, images: Tensor, labels: Tensor, others: Tensor, radii: Tensor
    ) -> Tensor:
        given = (network, images)
        inner = smaller_balls(
            *given, labels, others, radii, self._ball, self._effort, self._stretches
        )
        relaxation = relax_network(
            *given,
            radii,
            self._ball,
            jacobian=self._effort.jacobian,
            inner=inner,
            stretches=self._stretches,
            differences=self._effort.differences,
        )
        return linear_margins(relaxation, labels, others, inner)


def _check_options(method: str, box: tuple[float, float] | None) -> None:
    if method not in METHODS:
        hint = did_you_mean(method, METHODS)
        raise InputError(f"method must be one of {', '.join(METHODS)}, not {method!r}{hint}")
    if box is not None and not box[0] < box[1]:
        raise InputError(f"box must be (low, high) with low < high, or None, not {box!r}")


def _read(
    model: nn.Module, shape: tuple[int, ...], images: Tensor | None
) -> tuple[nn.Module, Network]:
    """Return a model that gives logits, and the network that it computes."""
    given = reader(model, shape)
    network = faithful_network(given, shape, images)
    # Of a model that ends in a softmax the probabilities are compared, and they may tie. Where it
    # was declared to give logits, these are.
    softmax = given is not model
    return given, dataclasses.replace(network, shifted=network.shifted or softmax)


def _problem(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: float | str,
    box: tuple[float, float] | None,
    method: str,
    target: Target,
    seed: int,
) -> tuple[Problem, Tensor]:
    check_images(images)
    check_labels(labels, len(images))
    _check_options(method, box)
    images = images.detach().contiguous()
    labels = labels.to(images.device)
    model, network = _read(model, tuple(images.shape[1:]), images)
    network = network.to(torch.float64, images.device)
    ball = Ball(parse_norm(norm), box)
    if len(images) == 0:
        logits = images.new_zeros(0, network.classes, dtype=torch.float32)
    else:
        with frozen(model):
            logits = evaluate(model, images)
    check_labels(labels, len(images), logits.shape[1])
    rivals = _rivals(logits, labels, target, seed)
    correct = (logits.argmax(dim=1) == labels) & logits.isfinite().all(dim=1)
    stretches = useful_stretches(network, ball, thorough=method == "alpha")
    problem = Problem(network, images.to(torch.float64), labels, rivals, ball, stretches)
    return problem, correct


def _rivals(logits: Tensor, labels: Tensor, target: Target, seed: int) -> Tensor:
    count, classes = logits.shape
    if target is None:
        return torch.ones_like(logits, dtype=torch.bool).scatter(1, labels[:, None], False)
    if isinstance(target, str):
        if target != "random":
            raise InputError(f'target must be None, "random" or a tensor, not {target!r}')
        target = random_targets(logits, labels, seed)
    check_labels(target, count, classes)
    target = target.to(logits.device)
    if bool((target == labels).any()):
        raise InputError("target must differ from the label for every image")
    return torch.zeros_like(logits, dtype=torch.bool).scatter(1, target[:, None], True)


def random_targets(logits: Tensor, labels: Tensor, seed: int) -> Tensor:
    """Draw the classes, int64 [count], that ``target="random"`` stands for.

    Args:
        logits: floating [count, classes].
        labels: int64 [count].
        seed: the draw for an image depends on it and on the image's place.

    Raises:
        InputError: there are fewer than 4 classes.
    """
    if logits.shape[1] < 4:
        raise InputError('target="random" needs at least 4 classes')
    order = logits.scatter(1, labels[:, None], torch.inf).argsort(dim=1, descending=True)
    candidates = order[:, 2:-1]
    draws = [
        int(torch.randint(candidates.shape[1], (1,), generator=generator("target", seed, i)))
        for i in range(len(labels))
    ]
    chosen = torch.tensor(draws, dtype=torch.int64, device=logits.device)
    return candidates.gather(1, chosen[:, None]).squeeze(1)


def _search(problem: Problem, steps: int) -> Tensor:
    """Return the radii, float64 [count], of linear bounds, with slopes improved in `steps`."""
    per_image = int(problem.rivals.sum(dim=1).max())
    order = problem.rivals.to(torch.int64).argsort(dim=1, descending=True, stable=True)
    others = order[:, :per_image]
    radii = problem.images.new_zeros(len(problem.images))
    size = images_per_pass(problem.network)
    for first in range(0, len(radii), size):
        rows = slice(first, first + size)
        part = problem.rows(torch.arange(len(radii), device=radii.device)[rows])
        given = (part.network, part.images, part.labels, others[rows], part.ball)
        radii[rows] = (
            optimised_radii(*given, steps, part.stretches)
            if steps
            else search_radii(*given, stretches=part.stretches)
        )
    return radii


def _warn_of_thin_leads(problem: Problem, radii: Tensor) -> None:
    """Say for how many images rounding alone may change the class, so that they have no radius."""
    rows = (radii == 0).nonzero().squeeze(1)
    if len(rows) == 0:
        return
    unsure = 0
    for chosen in torch.split(rows, images_per_pass(problem.network)):
        part = problem.rows(chosen)
        relaxation = relax_network(
            part.network, part.images, radii[chosen], part.ball, stretches=part.stretches.apart()
        )
        others = torch.arange(part.network.classes, device=radii.device).expand(len(chosen), -1)
        margins = linear_margins(relaxation, part.labels, others)
        unsure += int((margins.masked_fill(~part.rivals, torch.inf).amin(dim=1) <= 0).sum())
    if unsure:
        warnings.warn(
            f"{unsure} of {len(radii)} images have the radius 0 because what rounding may do "
            "when the model is evaluated is more than their class leads by; evaluate the model in "
            "a higher precision, or fold large numbers that cancel into its weights",
            ThinLeadWarning,
            stacklevel=3,
        )


def _holds(problem: Problem, radii: Tensor) -> Tensor:
    """Tell for which images interval bounds, or the network's stretch, certify a radius."""
    bounds = interval_margins(
        problem.network, problem.images, problem.labels, radii, problem.ball, problem.stretches
    )
    worst = bounds.masked_fill(~problem.rivals, torch.inf).amin(dim=1)
    return worst > 0


def _bisect(problem: Problem, steps: int = 40) -> Tensor:
    """Return the largest radii, float64 [count], that interval bounds or the stretch certify."""
    low = problem.images.new_zeros(len(problem.images))
    high = torch.full_like(low, LARGEST_RADIUS[problem.ball.norm])
    for _ in range(steps):
        middle = torch.where(low > 0, (low * high).sqrt(), high * 0.05)
        holds = _holds(problem, middle)
        low, high = torch.where(holds, middle, low), torch.where(holds, high, middle)
    return low


def _unbounded(problem: Problem, radii: Tensor) -> Tensor:
    """Return the radii, infinite where no image at all is classified otherwise."""
    ball = problem.ball
    limit = torch.full_like(radii, torch.inf)
    if ball.box is not None:
        reach = ball.reach(problem.images)
        assert reach.down is not None
        assert reach.up is not None
        farthest = torch.maximum(reach.down, reach.up).flatten(1)
        limit = torch.linalg.vector_norm(farthest, ord=ball.norm, dim=1)
    everywhere = radii >= limit
    if problem.stretches.nodes[-1] == 0.0:
        everywhere = everywhere | (radii > 0)
    return torch.where(everywhere, torch.inf, radii)
