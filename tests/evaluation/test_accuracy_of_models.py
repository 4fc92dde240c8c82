import pytest
import torch
from torch import nn

from nversion.datasets import Split
from nversion.errors import InputError
from nversion.evaluation import accuracy
from nversion.program import Program


class FirstPixels(nn.Module):
    """A model whose logits are the first pixels, plus a constant for one class."""

    def __init__(self, favourite: int | None = None) -> None:
        super().__init__()
        self.favourite = favourite

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = images.flatten(1)[:, :3] * 10
        if self.favourite is None:
            return logits
        return logits + 100 * torch.eye(3)[self.favourite]


@pytest.fixture
def split() -> Split:
    labels = torch.tensor([0, 1, 2, 2, 1, 0, 0])
    images = torch.nn.functional.one_hot(labels, 4).float().reshape(7, 1, 2, 2)
    return Split(images, torch.tensor([0, 1, 2, 2, 1, 1, 2]))


def test_accuracy_is_the_share_of_right_predictions(split: Split) -> None:
    assert accuracy(FirstPixels(), split) == 5 / 7
    assert accuracy(FirstPixels(2), split) == 3 / 7
    assert accuracy(FirstPixels(), split, batch_size=4) == 5 / 7


def test_a_program_is_judged_by_its_vote(split: Split) -> None:
    models = [FirstPixels(0), FirstPixels(1)]
    assert accuracy(Program(models, voter="majority"), split) == 0.0
    assert accuracy(Program([FirstPixels(), *models, FirstPixels()], "plurality"), split) == 5 / 7


def test_no_images_are_refused(split: Split) -> None:
    class Empty:
        images, labels = split.images[:0], split.labels[:0]

    with pytest.raises(InputError, match="no images"):
        accuracy(FirstPixels(), Empty())
