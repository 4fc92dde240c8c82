"""What networks answered on the adversarial set and the test images, as files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from torch import Tensor

from nversion.files import read_tensor
from nversion.study.units.base import MadeFrom

__all__ = ["StoredOutputs", "read_outputs"]


@dataclasses.dataclass(frozen=True)
class StoredOutputs:
    """What one network answers.

    Attributes:
        name: the version's name, or the network's role.
        on_set: its softmax outputs on the adversarial set ("probabilities").
        on_test: its logits on the test images ("logits").
    """

    name: str
    on_set: MadeFrom
    on_test: MadeFrom

    def right_on_set(self, labels: Tensor) -> Tensor:
        """Return on which images of the adversarial set it is right, bool [count]."""
        return read_outputs(self.on_set.path).argmax(dim=1) == labels

    def right_on_test(self, labels: Tensor) -> Tensor:
        """Return on which test images it is right, bool [count]."""
        return read_tensor(self.on_test.path, "logits").argmax(dim=1) == labels

    def inputs(self) -> list[str]:
        """Return its name, and what its answers are told apart by."""
        return [self.name, self.on_set.digest, self.on_test.digest]


def read_outputs(path: Path) -> Tensor:
    """Return the softmax outputs float32 [count, classes] of one network on the adversarial set."""
    return read_tensor(path, "probabilities")
