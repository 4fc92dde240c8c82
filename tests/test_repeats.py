"""Models that repeat their answers are told from those that do not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nversion.errors import UnsupportedModuleError
from nversion.repeats import check_repeats

IMAGES = torch.rand(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Stepped(nn.Module):
    """Ten pixels and a step."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.step = step
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        return self.step(images.flatten(1)[:, :10])


def _reseeded(z: Tensor) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return z + torch.rand_like(z)


def _attended(z: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(z[None], z[None], z[None])[0]


STEADY = {
    "plain": lambda z: z,
    "seeded": lambda z: z + torch.rand(z.shape, generator=torch.Generator().manual_seed(1)),
    "reseeded": _reseeded,
    "dropout that drops nothing": lambda z: functional.dropout(z, 0.0),
    "dropout in evaluation mode": lambda z: functional.dropout(z, 0.5, training=False),
    "what may draw and does not": _attended,
    "NaN": lambda z: z * torch.nan,
    "infinite": lambda z: z.masked_fill(z > 0.5, -torch.inf),
    "no logits": lambda z: (z, z),
    "a batch's mean": lambda z: z - z.mean(dim=0),
}

STATEFUL = torch.Generator().manual_seed(1)

UNSTEADY = {
    "bernoulli_": lambda z: functional.dropout(z, 1e-9),
    "rand_like": lambda z: z + torch.rand_like(z),
    "normal": lambda z: torch.normal(z, 0.1),
    "randperm": lambda z: z[:, torch.randperm(10)],
    "rand": lambda z: z + 0.0 * torch.rand(z.shape, generator=STATEFUL),
}


@pytest.mark.parametrize("name", STEADY)
def test_what_repeats_is_let_through(name: str) -> None:
    check_repeats(Stepped(STEADY[name]), IMAGES, "this")


@pytest.mark.parametrize("name", UNSTEADY)
def test_a_draw_is_named_however_little_comes_of_it(name: str) -> None:
    with pytest.raises(UnsupportedModuleError, match=rf"\({name}\), so this would not hold"):
        check_repeats(Stepped(UNSTEADY[name]), IMAGES, "this")


def test_models_of_every_precision_repeat() -> None:
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3)).to(dtype)
        check_repeats(model, IMAGES, "this")


def test_a_compiled_and_a_traced_module_repeat() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    check_repeats(torch.compile(model, backend="eager"), IMAGES, "this")
