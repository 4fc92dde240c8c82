from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, nn

from nversion.attacks.deepfool import DeepFool
from nversion.attacks.slsqp import SLSQP
from nversion.errors import InputError

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def smooth_problem() -> Any:
    """Return a small network with smooth activations, images and the labels it gives them."""
    draws = torch.Generator().manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=draws))
        images = torch.rand(6, 1, 3, 3, generator=draws)
        return model, images, model(images).argmax(dim=1)


def scipys_distance(model: nn.Module, image: Tensor, label: Any) -> Any:
    """Return the least distance that scipy's SLSQP finds, towards each of the other classes."""
    start = image.flatten().double().numpy()

    def lead(flat: Any, other: int) -> Any:
        leaf = torch.tensor(flat, dtype=torch.float32).view(1, 1, 3, 3).requires_grad_(True)
        logits = model(leaf)[0]
        value = logits[other] - logits[label]
        (slope,) = torch.autograd.grad(value, leaf)
        return float(value.detach()), slope.flatten().double().numpy()

    found = []
    for other in range(3):
        if other == label:
            continue
        solved = minimize(  # type: ignore[call-overload]
            lambda x: (((x - start) ** 2).sum(), 2.0 * (x - start)),
            start + 1e-3,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * 9,
            constraints={
                "type": "ineq",
                "fun": lambda x, other=other: lead(x, other)[0],
                "jac": lambda x, other=other: lead(x, other)[1],
            },
            options={"maxiter": 300, "ftol": 1e-10},
        )
        if lead(solved.x, other)[0] > -1e-4:
            found.append(np.linalg.norm(solved.x - start))
    return min(found, default=np.inf)


def test_as_near_as_the_dense_solver() -> None:
    model, images, labels = smooth_problem()
    result = SLSQP()(model, images, labels)
    theirs = torch.tensor(
        [
            scipys_distance(model, image, int(label))
            for image, label in zip(images, labels, strict=True)
        ]
    )
    assert theirs.isfinite().any()
    assert (result.l2 <= theirs * 1.01).all()


def test_nearer_than_deepfool(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:30], victim.labels[:30]
        ours = SLSQP()(victim.model, images, labels)
        theirs = DeepFool()(victim.model, images, labels)
        assert ours.success.all()
        assert (ours.l2 <= theirs.l2 * 1.02).float().mean() > 0.9
        assert float(ours.l2.median()) < float(theirs.l2.median())


def test_more_classes_are_no_farther(convolutional: Victim) -> None:
    images, labels = convolutional.images[:15], convolutional.labels[:15]
    one = SLSQP(classes=1)(convolutional.model, images, labels)
    all_ = SLSQP(classes=100)(convolutional.model, images, labels)
    assert (all_.l2 <= one.l2 * 1.001).all()


def test_same_bits_in_every_batch(dense: Victim, convolutional: Victim) -> None:
    for victim in (dense, convolutional):
        images, labels = victim.images[:6], victim.labels[:6]
        whole = SLSQP()(victim.model, images, labels).images
        for rows in ([3], [2, 0, 5, 1], [5, 4, 3, 2, 1, 0]):
            part = SLSQP()(victim.model, images[rows], labels[rows]).images
            assert torch.equal(part, whole[rows])


@pytest.mark.parametrize("options", [{"iterations": 0}, {"classes": 0}])
def test_refused_options(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        SLSQP(**options)
