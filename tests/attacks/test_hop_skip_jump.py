"""HopSkipJump: decisions alone lead close to the nearest adversarial image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import create
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


class Decisions(nn.Module):
    """Says which class it is and nothing more; has no gradient."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        return nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).float()


@pytest.mark.parametrize(("norm", "slack"), [("l2", 1.15), ("linf", 1.5)])
def test_decisions_alone_lead_close_to_the_nearest(norm: str, slack: float, dense: Victim) -> None:
    images, labels = dense.images[:4], dense.labels[:4]
    nearest = getattr(
        create("fab", norm=norm, targets=3, steps=40)(dense.model, images, labels), norm
    )
    attack = create("hop-skip-jump", norm=norm, steps=8)
    result = attack(Decisions(dense.model), images, labels)
    assert result.success.all()
    assert result.backwards == 0
    ratio = getattr(result, norm) / nearest
    assert float(ratio.median()) <= slack
    assert float(ratio.min()) >= 0.95


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_same_bits_in_every_batch(norm: str, convolutional: Victim) -> None:
    model, images, labels = convolutional
    attack = create("hop-skip-jump", norm=norm, steps=3, evaluations=20)
    whole = attack(model, images[:6], labels[:6])
    for rows in ([3], [5, 1], [0, 2, 4]):
        part = attack(model, images[rows], labels[rows])
        assert torch.equal(part.images, whole.images[rows])


def test_more_steps_are_never_farther(dense: Victim) -> None:
    images, labels = dense.images[:6], dense.labels[:6]
    before = torch.full((6,), torch.inf)
    for steps in (1, 3, 8):
        attack = create("hop-skip-jump", steps=steps, evaluations=30)
        after = attack(dense.model, images, labels).l2
        assert (after <= before).all()
        before = after


def test_oblong_colour_images() -> None:
    draws = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 6, 4))
    images = torch.rand(4, 3, 4, 6, generator=draws)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    attack = create("hop-skip-jump", steps=2, evaluations=20)
    assert attack(model, images, labels).success.any()


@pytest.mark.parametrize("options", [{"steps": 0}, {"evaluations": 1.5}, {"gamma": 0.0}])
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        create("hop-skip-jump", **options)
