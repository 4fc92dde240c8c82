"""Counts of a vote beside its versions'."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nversion.errors import InputError
from nversion.program import KOfN, MeanSoftmax
from nversion.program.campaigns.voting import count_votes


class Says(nn.Module):
    """The class that is written for each image in its only pixel, and shifted by `shift`."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, images: Tensor) -> Tensor:
        classes = (images.flatten() * 3).round().long()
        return 9.0 * nn.functional.one_hot((classes + self.shift) % 3, 3).float()


LABELS = torch.tensor([0, 1, 2, 0])
IMAGES = (torch.tensor([0, 1, 2, 1]) / 3).reshape(4, 1, 1, 1)
"""Whose class is written is right, but for the last."""


def test_verdicts_are_right_wrong_or_abstentions() -> None:
    networks = {"a": Says(0), "b": Says(0), "c": Says(1)}
    found = count_votes(networks, KOfN(2), IMAGES, LABELS)
    assert found.versions == {"a": 0.75, "b": 0.75, "c": 0.0}
    assert (found.right, found.wrong, found.abstentions, found.accuracy) == (3, 1, 0, 0.75)
    assert (found.agreement, found.unanimous) == (pytest.approx(2 / 3), 0.0)
    assert (found.mean_individual, found.best_individual) == (0.5, 0.75)
    strict = count_votes(networks, KOfN(3), IMAGES, LABELS)
    assert (strict.right, strict.wrong, strict.abstentions) == (0, 0, 4)
    values = strict.to_json()
    assert (values["voter"], values["k"], values["images"]) == ("k-of-n", 3, 4)
    assert values["versions"][2] == {"name": "c", "accuracy": 0.0}


def test_a_voter_without_k_has_none() -> None:
    found = count_votes({"a": Says(0)}, MeanSoftmax(), IMAGES, LABELS)
    assert found.k is None
    assert found.unanimous == 1.0


def test_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="at least one"):
        count_votes({"a": Says(0)}, MeanSoftmax(), IMAGES[:0], LABELS[:0])
