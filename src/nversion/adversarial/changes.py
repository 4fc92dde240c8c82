"""What an attack changed of an image, for figures of any kind."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from torch import Tensor

__all__ = ["strongest_change"]


def strongest_change(original: Tensor, image: Tensor) -> npt.NDArray[np.float32]:
    """Return the signed change float32 [height, width]: of each pixel's channels, the largest.

    Args:
        original: float32 [channels, height, width].
        image: likewise.
    """
    change = (image - original).cpu()
    strongest = change.abs().argmax(dim=0, keepdim=True)
    largest: npt.NDArray[np.float32] = change.gather(0, strongest).squeeze(0).numpy()
    return largest
