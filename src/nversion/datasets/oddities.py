"""What a data set may be odd in, said before anything is measured on it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["oddities"]

FEW = 30
"""Of fewer test images a share says little: one is more than three percent."""

IMBALANCE = 100.0
"""From so many times as many images of one class as of another, accuracy says little."""


def oddities(labels: Tensor, class_names: Sequence[str], what: str = "test images") -> list[str]:
    """Return a sentence for each thing that is odd about labels; nothing if nothing is.

    Args:
        labels: int64 [count], of the images that something is to be measured on.
        class_names: of all classes.
        what: the images are.
    """
    counts = torch.bincount(labels, minlength=len(class_names))
    said = []
    missing = [name for name, count in zip(class_names, counts.tolist(), strict=False) if not count]
    if missing:
        shown = ", ".join(missing[:8]) + (", ..." if len(missing) > 8 else "")
        classes = "the class" if len(missing) == 1 else f"{len(missing)} classes"
        said.append(f"no {what} are of {classes} {shown}, of which nothing is measured")
    if len(labels) < FEW:
        said.append(
            f"there are {len(labels)} {what} only: one of them is {1 / max(len(labels), 1):.0%}"
        )
    present = counts[counts > 0]
    if len(present) and float(present.max()) >= IMBALANCE * float(present.min()):
        most, least = int(counts.argmax()), int(counts.masked_fill(counts == 0, 2**62).argmin())
        said.append(
            f"of {class_names[most]} there are {int(counts[most]):,} {what}, of "
            f"{class_names[least]} {int(counts[least]):,}: naming the most frequent class is right "
            f"on {float(counts[most]) / len(labels):.1%}"
        )
    return said
