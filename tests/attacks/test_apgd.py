"""Auto-PGD: its losses, its schedule, and exactness where the answer is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks import create
from nversion.attacks.apgd import (
    checkpoints,
    logit_ratio,
    targeted_logit_ratio,
    targets_by_rank,
)
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def linear(classes: int, seed: int = 0) -> Any:
    """Return a linear model on 4 x 4 images, and images it can be wrong about inside [0, 1]."""
    draws = torch.Generator().manual_seed(seed)
    layer = nn.Linear(16, classes)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(classes, 16, generator=draws))
        layer.bias.copy_(-0.5 * layer.weight.sum(dim=1))  # all classes meet at even grey
    model = nn.Sequential(nn.Flatten(), layer)
    images = 0.5 + 0.05 * torch.randn(6, 1, 4, 4, generator=draws)
    with torch.no_grad():
        labels = model(images).argmax(dim=1)
    return model, images, labels


def distances(model: nn.Module, images: Tensor, labels: Tensor, dual: float) -> Any:
    """Return the exact distances to the nearest other class, float64 [count], without a box."""
    weight = model[1].weight.detach().double()
    logits = images.double().flatten(1) @ weight.T + model[1].bias.detach().double()
    gaps = logits.gather(1, labels[:, None]) - logits
    sizes = (weight[labels][:, None] - weight).norm(p=dual, dim=2)
    return (gaps / sizes).nan_to_num(torch.inf).masked_fill(gaps == 0, torch.inf).amin(dim=1)


def test_losses_by_hand() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0, -1.0]])
    label, target = torch.tensor([0]), torch.tensor([3])
    # -(3 - 2) / (3 - 1) and -(3 + 1) / (3 - (1 - 1) / 2)
    assert logit_ratio(logits, label).item() == pytest.approx(-0.5)
    assert targeted_logit_ratio(logits, label, target).item() == pytest.approx(-4.0 / 3.0)
    # Misclassified: the losses are positive.
    assert logit_ratio(logits, torch.tensor([2])).item() == pytest.approx(0.5)


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_with_few_classes_have_gradients(classes: int) -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]])[:, :classes].requires_grad_()
    label, target = torch.tensor([0]), torch.tensor([1])
    for loss in (logit_ratio(logits, label), targeted_logit_ratio(logits, label, target)):
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert float(gradient[0, 1]) > 0.0 > float(gradient[0, 0])


def test_ratios_do_not_change_when_logits_are_scaled() -> None:
    logits = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    labels, targets = torch.arange(5), torch.arange(1, 6)
    for scale in (1e-2, 1e3):
        scaled = (
            logit_ratio(logits * scale, labels),
            targeted_logit_ratio(logits * scale, labels, targets),
        )
        assert torch.allclose(scaled[0], logit_ratio(logits, labels), rtol=1e-4)
        assert torch.allclose(scaled[1], targeted_logit_ratio(logits, labels, targets), rtol=1e-4)


def test_targets_are_the_likeliest_wrong_classes() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0, 2.0], [5.0, 1.0, 1.0, 4.0]])
    assert targets_by_rank(logits, torch.tensor([1, 3]), 2).tolist() == [[3, 2], [0, 1]]
    assert targets_by_rank(logits, torch.tensor([1, 3]), 9).shape == (2, 3)


def test_checkpoints_of_a_hundred_iterations() -> None:
    # p = 0.22, then intervals 0.19, 0.16, 0.13, 0.10, 0.07, 0.06, 0.06, ...
    assert checkpoints(100)[:8] == [22, 41, 57, 70, 80, 87, 93, 99]


@pytest.mark.parametrize("steps", [1, 2, 7, 100, 1000])
def test_checkpoints_ascend_and_cover(steps: int) -> None:
    points = checkpoints(steps)
    assert points == sorted(set(points))
    assert points[0] >= 1
    assert points[-1] >= steps


@pytest.mark.parametrize(
    ("loss", "classes"), [("cross-entropy", 2), ("dlr", 3), ("targeted-dlr", 4)]
)
@pytest.mark.parametrize(("norm", "dual"), [("linf", 1), ("l2", 2)])
def test_linear_models_break_just_above_their_distance(
    loss: str, classes: int, norm: str, dual: int
) -> None:
    model, images, labels = linear(classes)
    exact = distances(model, images, labels, dual)
    assert float(exact.max()) < 0.3, "the box must not matter here"
    for row in range(3):
        one, label = images[row : row + 1], labels[row : row + 1]
        for factor, breaks in ((1.02, True), (0.98, False)):
            attack = create("apgd", norm=norm, epsilon=float(exact[row]) * factor, loss=loss)
            assert bool(attack(model, one, label).success) == breaks, (row, factor)


@pytest.mark.parametrize("loss", ["cross-entropy", "dlr", "targeted-dlr"])
def test_a_very_sure_model_is_no_harder(loss: str, dense: Victim) -> None:
    """Where 1 - p rounds to zero, the cross-entropy's own gradient would be zero."""
    sure = nn.Sequential(dense.model, nn.Linear(10, 10, bias=False))
    with torch.no_grad():
        sure[1].weight.copy_(1e4 * torch.eye(10))
    attack = create("apgd", epsilon=0.2, loss=loss, steps=20)
    plain = attack(dense.model, dense.images[:8], dense.labels[:8])
    result = attack(sure, dense.images[:8], dense.labels[:8])
    assert int(plain.success.sum()) >= 4
    assert int(result.success.sum()) >= int(plain.success.sum()) - 1


def test_restarts_only_add(convolutional: Victim) -> None:
    model, images, labels = convolutional
    images, labels = images[:12], labels[:12]
    once, often = (
        create("apgd", epsilon=0.09, steps=5, restarts=restarts)(model, images, labels)
        for restarts in (1, 6)
    )
    assert (often.success | ~once.success).all()
    assert torch.equal(often.images[once.success], once.images[once.success])
    assert often.backwards > once.backwards


def test_finished_images_cost_nothing_more(dense: Victim) -> None:
    images, labels = dense.images[:6], dense.labels[:6]
    easy = create("apgd", epsilon=1.0)(dense.model, images, labels)
    assert easy.success.all()
    assert easy.backwards < 6 * 30


def test_seeds_differ(dense: Victim) -> None:
    attack = create("apgd", epsilon=0.3)
    first, second = (
        attack(dense.model, dense.images[:4], dense.labels[:4], seed=s) for s in (0, 1)
    )
    assert not torch.equal(first.images, second.images)


@pytest.mark.parametrize(
    "options", [{"loss": "hinge"}, {"steps": 0}, {"steps": 2.5}, {"restarts": 0}, {"rho": -1.0}]
)
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        create("apgd", **options)
