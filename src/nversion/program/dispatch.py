"""One ``certify`` for networks and for programs."""

from __future__ import annotations

from torch import Tensor, nn

from nversion.arguments import typed
from nversion.certification import certify as certify_network
from nversion.errors import InputError
from nversion.program.certificates.certified import certify_program
from nversion.program.model import Program

__all__ = ["certify"]


@typed
def certify(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    norm: float | str,
    *,
    method: str = "linear",
    box: tuple[float, float] | None = (0.0, 1.0),
    target: Tensor | str | None = None,
    seed: int = 0,
    steps: int = 40,
) -> Tensor:
    """Return radii within which no change of the image changes the class, float32 [count].

    For a network this is :func:`nversion.certification.certify`, for a
    :class:`~nversion.program.Program` :func:`nversion.program.certify_program`: no change within
    the radius changes the verdict of its vote.

    Args:
        model: a network, or a program of networks.
        images: floating [count, channels, height, width] in [0, 1].
        labels: int64 [count]; a misclassified image has the radius 0.
        norm: 1, 2 or infinity (a float, or "inf").
        method: "interval", "linear" or "alpha", from fast and loose to slow and tight.
        box: the range of valid pixels, which changed images keep; None for the plain ball.
        target: for networks only: None, an int64 tensor [count] of target classes, or "random".
        seed: for the random targets.
        steps: how many times "alpha" improves its slopes.

    Raises:
        InputError: a malformed argument, or a target for a program.
        UnsupportedModuleError: the model holds a module that cannot be bounded; it is named.
    """
    if not isinstance(model, Program):
        return certify_network(
            model,
            images,
            labels,
            norm,
            method=method,
            box=box,
            target=target,
            seed=seed,
            steps=steps,
        )
    if target is not None:
        raise InputError(
            "a program's vote is certified against every other class; leave out target"
        )
    return certify_program(model, images, labels, norm, method=method, box=box, steps=steps)
