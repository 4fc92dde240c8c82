"""What minimum-norm attacks share: the nearest adversarial point so far, the nearest classes."""

from __future__ import annotations

import torch
from torch import Tensor

from nversion.attacks.ball import sums
from nversion.attacks.oracle import Oracle

__all__ = ["Nearest", "nearest_classes", "ranked_classes"]


class Nearest:
    """The adversarial point with the smallest L2 distance met so far, for each image.

    Attributes:
        originals: float32 [count, ...] in [0, 1].
        points: float32 [count, ...]; the original where none was met.
        squares: float32 [count], squared distances; infinite where none was met.
    """

    def __init__(self, originals: Tensor) -> None:
        self.originals = originals
        self.points = originals.clone()
        self.squares = torch.full((len(originals),), torch.inf, device=originals.device)

    def keep(self, rows: Tensor, points: Tensor, held: Tensor, squares: Tensor) -> None:
        """Take over points of `rows` that are adversarial, `held`, and nearer.

        Args:
            rows: int64 [some].
            points: float32 [some, ...].
            held: bool [some].
            squares: float32 [some], squared distances of the points.
        """
        better = held & (squares < self.squares[rows])
        chosen = rows[better]
        if len(chosen) > 0:
            self.points[chosen] = points[better]
            self.squares[chosen] = squares[better]

    def select(self, rows: Tensor) -> Nearest:
        """Return the part for `rows`, int64."""
        part = Nearest(self.originals[rows])
        part.points, part.squares = self.points[rows], self.squares[rows]
        return part

    def found(self) -> Tensor:
        """Return the rows, int64, that have an adversarial point."""
        return self.squares.isfinite().nonzero().squeeze(1)


def nearest_classes(
    oracle: Oracle, images: Tensor, labels: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """Return linear models of the margins to the classes whose linearised boundary is nearest.

    Returns:
        Class logits minus the label's, float32 [images, classes], nearest first, and the gradients
        of these differences, [images, classes, channels, height, width].
    """
    values, normals, _ = ranked_classes(oracle, images, labels, count)
    return values, normals


def ranked_classes(
    oracle: Oracle, images: Tensor, labels: Tensor, count: int, norm: str = "l2"
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what :func:`nearest_classes` does, and the classes, int64 [images, classes].

    Args:
        oracle: the attacked model.
        images: float32 [images, channels, height, width].
        labels: int64 [images].
        count: classes wanted, at the most.
        norm: "l0", "l1", "l2" or "linf", by which the boundaries are near.
    """
    classes = oracle.logits(images[:1]).shape[1]
    everything = torch.arange(classes, device=images.device).expand(len(images), -1)
    logits, gradients = oracle.jacobian(images, everything)
    label_columns = labels[:, None, None, None, None].expand(-1, 1, *images.shape[1:])
    differences = gradients - gradients.gather(1, label_columns)
    values = logits - logits.gather(1, labels[:, None])
    sizes = _slopes(differences.flatten(0, 1), norm).view_as(values)
    distances = (values.abs() / sizes.clamp(min=1e-30)).nan_to_num(torch.inf)
    distances = distances.scatter(1, labels[:, None], torch.inf)
    order = distances.sort(dim=1, stable=True).indices[:, : min(count, logits.shape[1] - 1)]
    chosen = order[:, :, None, None, None].expand(-1, -1, *images.shape[1:])
    return values.gather(1, order), differences.gather(1, chosen), order


def _slopes(gradients: Tensor, norm: str) -> Tensor:
    """Return by how much linear functions rise at the most over a way of length 1, [count]."""
    if norm == "l2":
        return sums(gradients.square()).sqrt()
    if norm == "linf":
        return sums(gradients.abs())
    return gradients.abs().sum(dim=1).flatten(1).amax(dim=1)
