"""What an attack claims is checked on the returned image, whatever the attack proposed."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import base, create
from nversion.attacks.base import Attack
from nversion.attacks.oracle import Oracle
from nversion.attacks.verification import eight_bit

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


@dataclasses.dataclass(frozen=True, eq=False)
class Proposes(Attack):
    """Proposes what it was told to."""

    candidates: Tensor
    radius: float = float("inf")

    name: ClassVar[str] = "proposes"
    norm: ClassVar[str] = "linf"

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Any) -> Any:
        return self.candidates

    def constrain(self, originals: Tensor, images: Tensor) -> Any:
        return images.clamp(originals - self.radius, originals + self.radius).clamp(0.0, 1.0)


class Bright(nn.Module):
    """Says 1 if the pixels' mean is above a threshold, else 0."""

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold

    def forward(self, images: Tensor) -> Tensor:
        score = 10.0 * (images.mean(dim=(1, 2, 3)) - self.threshold)
        return torch.stack([torch.zeros_like(score), score], dim=1)


DARK = torch.full((1, 1, 4, 4), 0.2)
LABEL = torch.tensor([0])


def run(
    candidate: Any, threshold: float = 0.5, radius: float = float("inf"), **options: Any
) -> Any:
    return Proposes(candidate, radius)(Bright(threshold), DARK, LABEL, **options)


def test_what_is_not_adversarial_is_a_failure() -> None:
    for value in (0.2, 0.4, 0.5):
        result = run(torch.full_like(DARK, value))
        assert not result.success
        assert torch.equal(result.images, DARK)
        assert result.l2.isposinf()
        assert int(result.predictions) == 0


def test_what_holds_is_returned_untouched() -> None:
    candidate = torch.full_like(DARK, 0.51)
    assert torch.equal(run(candidate).images, candidate)


def test_nan_is_a_failure_and_the_range_is_kept() -> None:
    candidate = torch.full_like(DARK, 0.9)
    candidate[0, 0, 0, 0] = torch.nan
    result = run(candidate)
    assert not result.success
    assert torch.equal(result.images, DARK)
    assert torch.equal(run(torch.full_like(DARK, 7.0)).images, torch.ones_like(DARK))


def test_a_thin_margin_is_thickened_by_the_smallest_step() -> None:
    candidate = torch.full_like(DARK, 0.500001)
    result = run(candidate)
    assert result.success
    assert 0.5 < float(result.images.mean()) < 0.5001 + 0.3 * 2**-10


def test_storable_takes_the_smallest_further_step() -> None:
    # 0.5 * 255 lies between 127 and 128; just above the threshold the pixels round down to 127.
    threshold = 127.3 / 255
    candidate = torch.full_like(DARK, 127.4 / 255)
    plain, stored = run(candidate, threshold), run(candidate, threshold, storable=True)
    assert plain.success
    assert torch.equal(plain.images, candidate)
    assert eight_bit(plain.images).mean() < threshold
    assert stored.success
    # The nearest image that rounds up has 127.5; a bisection of the step leaves 3 % of it.
    assert 127.5 <= float(stored.images.mean() * 255) < 127.51
    assert eight_bit(stored.images).mean() > threshold


def test_sparse_changes_stay_sparse_when_made_storable() -> None:
    candidate = DARK.clone()
    candidate[0, 0, 1, 2] = 0.7
    threshold = (15 * 0.2 + 0.6999) / 16
    result = run(candidate, threshold, storable=True)
    assert result.success
    assert float(result.l0) == 1.0


def test_no_further_step_leaves_the_attack_s_ball() -> None:
    threshold = 127.3 / 255
    candidate = torch.full_like(DARK, 127.4 / 255)
    radius = float(candidate[0, 0, 0, 0]) - 0.2
    result = run(candidate, threshold, radius=radius, storable=True)
    assert not result.success
    assert run(candidate, threshold, radius=radius).success


class Narrow(nn.Module):
    """Says 1 if the second pixel is above 76.3 / 255 while the first is below 104.4 / 255."""

    def forward(self, images: Tensor) -> Tensor:
        first, second = images[:, 0, 0, 0] * 255, images[:, 0, 0, 1] * 255
        score = torch.minimum(second - 76.3, 104.4 - first)
        return torch.stack([torch.zeros_like(score), score], dim=1)


def test_pushed_along_the_gradient_where_straight_on_does_not_help() -> None:
    # The second pixel rounds down to 76; straight on, the first leaves before it rounds up.
    candidate = DARK.clone()
    candidate[0, 0, 0, 0], candidate[0, 0, 0, 1] = 104.25 / 255, 76.4 / 255
    assert Narrow()(candidate).argmax() == 1
    assert Narrow()(eight_bit(candidate)).argmax() == 0
    for factor in (1.001, 1.003, 1.005, 1.01, 1.1):
        ahead = DARK + factor * (candidate - DARK)
        assert Narrow()(ahead).argmax() == 0 or Narrow()(eight_bit(ahead)).argmax() == 0
    result = Proposes(candidate)(Narrow(), DARK, LABEL, storable=True)
    assert result.success
    assert Narrow()(result.images).argmax() == 1
    assert Narrow()(eight_bit(result.images)).argmax() == 1


def test_many_images_are_taken_in_parts(dense: Victim) -> None:
    count = base.AT_ONCE + 3
    images = dense.images[:1].expand(count, -1, -1, -1)
    labels = dense.labels[:1].expand(count)
    many = create("newtonfool")(dense.model, images, labels)
    one = create("newtonfool")(dense.model, images[:1], labels[:1])
    assert torch.equal(many.images, one.images.expand_as(images))
    assert many.forwards > count * 2


@pytest.mark.parametrize("values", [[0.0], [0.3, 0.999], [1.0, 0.5]])
def test_eight_bit(values: list[float]) -> None:
    images = torch.tensor(values)
    stored = (images * 255).round().to(torch.uint8)
    assert torch.equal(eight_bit(images), stored.float() / 255)
    assert torch.equal(eight_bit(eight_bit(images)), eight_bit(images))
