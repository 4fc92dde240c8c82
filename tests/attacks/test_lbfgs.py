from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

from nversion.attacks import lbfgs
from nversion.attacks.deepfool import DeepFool
from nversion.attacks.gradient import gradient_targets
from nversion.attacks.lbfgs import LBFGS
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError
from nversion.models import frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def three_classes() -> Any:
    """Return a linear model on one pixel pair: class 0 around the middle, 1 right, 2 far up."""
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]))
        layer.bias.copy_(torch.tensor([0.0, -6.0, -6.8]))
    return nn.Sequential(nn.Flatten(), layer).eval()


def test_boundary_of_the_target() -> None:
    images = torch.tensor([[[[0.5, 0.5]]], [[[0.3, 0.6]]]])
    labels = torch.zeros(2, dtype=torch.long)
    result = LBFGS()(three_classes(), images, labels)
    # Class 1 begins at a first pixel of 0.75, class 2 at a second pixel of 0.85; from the second
    # image class 2 is nearer, and the gradient leads there.
    assert result.success.all()
    assert result.predictions.tolist() == [1, 2]
    assert torch.allclose(result.l2, torch.tensor([0.25, 0.25]), rtol=1e-2)


def test_active_bounds() -> None:
    # Ten pixels at 1 that would have to rise do not help: the others must do it all.
    layer = nn.Linear(20, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros(20), torch.ones(20)]))
        layer.bias.copy_(torch.tensor([12.0, 0.0]))
    model = nn.Sequential(nn.Flatten(), layer).eval()
    images = torch.cat([torch.ones(10), torch.full((10,), 0.1)]).view(1, 1, 4, 5)
    result = LBFGS()(model, images, torch.tensor([0]))
    assert result.success.all()
    assert float(result.l2) == pytest.approx(0.1 * 10**0.5, rel=1e-2)
    assert torch.equal(result.images.flatten()[:10], torch.ones(10))


def test_reaches_the_gradient_attacks_class_nearer_than_deepfool(
    dense: Victim, convolutional: Victim
) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:40], victim.labels[:40]
        result = LBFGS(start_steps=0)(victim.model, images, labels)
        with frozen(victim.model):
            targets = gradient_targets(Oracle(victim.model), images, labels)
        assert result.success.all()
        # On the way to its target an image may turn into another class first.
        assert int((result.predictions == targets).sum()) >= 36
        theirs = DeepFool()(victim.model, images, labels)
        assert float(result.l2.median()) < 1.02 * float(theirs.l2.median())


def test_a_walk_to_the_boundary_first_brings_it_nearer(
    dense: Victim, convolutional: Victim
) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:30], victim.labels[:30]
        alone = LBFGS(start_steps=0)(victim.model, images, labels)
        walked = LBFGS()(victim.model, images, labels)
        assert walked.success.sum() >= alone.success.sum()
        assert float(walked.l2.mean()) < 1.002 * float(alone.l2.mean())


def test_finer_tolerance_is_no_farther(dense: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    # Without the last steps, which bring both to the boundary.
    monkeypatch.setattr(lbfgs, "finish", lambda nearest, slope: None)
    images, labels = dense.images[:20], dense.labels[:20]
    coarse = LBFGS(tolerance=0.1, start_steps=0)(dense.model, images, labels)
    fine = LBFGS(start_steps=0)(dense.model, images, labels)
    assert float(fine.l2.mean()) < float(coarse.l2.mean())


def test_same_bits_in_every_batch(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:6], victim.labels[:6]
        whole = LBFGS()(victim.model, images, labels).images
        for rows in ([3], [2, 0, 5, 1], [5, 4, 3, 2, 1, 0]):
            part = LBFGS()(victim.model, images[rows], labels[rows]).images
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize(
    "options", [{"tolerance": 0.0}, {"max_iterations": 0}, {"memory": 0}, {"start_steps": -1}]
)
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        LBFGS(**options)
