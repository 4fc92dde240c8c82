import dataclasses

import pytest
import torch

from nversion import attacks
from nversion.evaluation import adversarial_frequency, wilson_interval


@dataclasses.dataclass
class Result:
    success: torch.Tensor
    already_misclassified: torch.Tensor


def result(success: list[int], wrong: list[int]) -> Result:
    return Result(torch.tensor(success).bool(), torch.tensor(wrong).bool())


def test_images_that_were_wrong_before_are_not_tried() -> None:
    frequency = adversarial_frequency(
        [result([1, 0, 0, 1], [0, 0, 1, 0]), result([0, 1, 0], [0, 0, 1])]
    )
    assert (frequency.succeeded, frequency.tried, frequency.already_misclassified) == (3, 5, 2)
    assert frequency.share == 3 / 5


def test_its_interval_counts_each_image_once_however_many_attacks_were_run_on_it() -> None:
    once = adversarial_frequency([result([1, 0, 0, 1], [0, 0, 0, 0])])
    assert (once.images, once.low, once.high) == (4, *wilson_interval(2, 4))
    often = adversarial_frequency([result([1, 0, 0, 1], [0, 0, 0, 0])] * 11)
    assert (often.tried, often.images) == (44, 4)
    assert (often.share, often.low, often.high) == (once.share, once.low, once.high)


def test_nothing_tried_has_no_share() -> None:
    assert adversarial_frequency([]).share is None
    frequency = adversarial_frequency([result([0, 0], [1, 1])])
    assert frequency.share is None
    assert (frequency.low, frequency.high) == (0.0, 1.0)


def test_it_counts_what_an_attack_returns() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    images = torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    labels = model(images).argmax(dim=1)
    labels[:5] = (labels[:5] + 1) % 3
    found = attacks.create("gradient-sign")(model, images, labels)
    frequency = adversarial_frequency([found])
    assert frequency.already_misclassified == 5
    assert frequency.tried == 15
    assert frequency.share == pytest.approx(int(found.success.sum()) / 15)
    assert frequency.succeeded > 0
