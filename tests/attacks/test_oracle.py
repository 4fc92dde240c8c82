from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

from nversion.attacks.criteria import towards_errors
from nversion.attacks.oracle import Oracle
from nversion.errors import InputError
from nversion.models import frozen

if TYPE_CHECKING:
    from tests.attacks.conftest import Victim


def test_gradient_and_jacobian_are_the_derivatives(dense: Victim) -> None:
    images, labels = dense.images[:70], dense.labels[:70]
    classes = torch.stack([labels, (labels + 1) % 10], dim=1)
    with frozen(dense.model):
        oracle = Oracle(dense.model)
        logits, gradients = oracle.gradient(images, towards_errors(labels))
        same_logits, jacobian = oracle.jacobian(images, classes)
        step = 1e-3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
        moved = oracle.logits(images + step)
    assert torch.equal(logits, same_logits)
    chosen = (moved - logits).gather(1, classes)
    predicted = (jacobian * step[:, None]).flatten(2).sum(dim=2)
    assert torch.allclose(chosen, predicted, atol=2e-3)
    odds = torch.logsumexp(logits.scatter(1, labels[:, None], -torch.inf), 1)
    assert gradients.flatten(1).norm(dim=1).min() > 0
    assert odds.shape == (70,)


def test_counts_images_not_batches(dense: Victim) -> None:
    images, labels = dense.images[:70], dense.labels[:70]
    with frozen(dense.model):
        oracle = Oracle(dense.model)
        oracle.logits(images[:1])
        assert (oracle.forwards, oracle.backwards) == (1, 0)
        oracle.gradient(images, towards_errors(labels))
        assert (oracle.forwards, oracle.backwards) == (71, 70)
        oracle.jacobian(images, labels[:, None].expand(-1, 3))
        assert (oracle.forwards, oracle.backwards) == (141, 280)


class Shouting(nn.Module):
    """Has infinite and undefined derivatives at 0."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :3].sqrt() * torch.tensor([1.0, 0.0, 2.0])


def test_derivatives_that_are_not_finite_are_zero() -> None:
    images = torch.zeros(2, 1, 2, 2)
    _, gradients = Oracle(Shouting()).gradient(images, lambda logits, rows: logits.sum(dim=1))
    assert torch.equal(gradients, torch.zeros_like(images))


@pytest.mark.parametrize("outputs", [lambda x: x, lambda x: x.sum((1, 2, 3)), lambda x: (x,)])
def test_output_that_is_not_logits(outputs: Callable[[Tensor], Any]) -> None:
    class Wrong(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return outputs(images)

    with pytest.raises(InputError, match=r"\[count, classes\]"):
        Oracle(Wrong()).logits(torch.rand(5, 1, 2, 2))
