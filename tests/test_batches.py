"""An image's logits and gradients are the same bits in every batch, for models of any kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nversion import batches
from nversion.attacks.oracle import Oracle
from nversion.batches import LAYOUTS, Layout, layout_of
from nversion.hooks import additions
from nversion.models import evaluate, frozen

COUNT = 24


def gradients_and_logits(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    return Oracle(model).gradient(images, lambda logits, _: logits[:, 0] - logits[:, -1])


def assert_independent(model: nn.Module, images: Tensor, rows: list[int]) -> None:
    with frozen(model):
        whole, part = gradients_and_logits(model, images), gradients_and_logits(model, images[rows])
        assert torch.equal(part[0], whole[0][rows])
        assert torch.equal(part[1], whole[1][rows])
        assert torch.equal(Oracle(model).logits(images[rows]), whole[0][rows])
        assert torch.equal(evaluate(model, images[rows]), whole[0][rows])


def drawn(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.rand(COUNT, *shape, generator=torch.Generator().manual_seed(seed))


activations = st.sampled_from([nn.ReLU, nn.Tanh, nn.Sigmoid, nn.SiLU, nn.Softplus, nn.GELU])
compositions = st.lists(st.integers(0, COUNT - 1), min_size=1, max_size=COUNT, unique=True)


@settings(deadline=None, max_examples=60)
@given(
    inputs=st.integers(2, 90),
    widths=st.lists(st.integers(2, 70), min_size=1, max_size=3),
    activation=activations,
    classes=st.integers(2, 13),
    rows=compositions,
    seed=st.integers(0, 2**16),
)
def test_dense_networks_of_any_width(
    inputs: int,
    widths: list[int],
    activation: type[nn.Module],
    classes: int,
    rows: list[int],
    seed: int,
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in zip([inputs, *widths], widths, strict=False):
            layers += [nn.Linear(before, after), activation()]
        model = nn.Sequential(*layers, nn.Linear(widths[-1], classes))
    assert_independent(model, drawn((1, 1, inputs), seed), rows)


@settings(deadline=None, max_examples=40)
@given(
    size=st.integers(4, 11),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 35), st.integers(1, 35)),
    kernels=st.tuples(st.integers(1, 3), st.sampled_from([1, 1, 2])),
    activation=activations,
    rows=compositions,
    seed=st.integers(0, 2**16),
)
def test_convolutions_of_any_width(
    size: int,
    channels: tuple[int, int, int],
    kernels: tuple[int, int],
    activation: type[nn.Module],
    rows: list[int],
    seed: int,
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(channels[0], channels[1], kernels[0]),
            activation(),
            nn.Conv2d(channels[1], channels[2], kernels[1]),
            activation(),
            nn.Flatten(),
            nn.LazyLinear(10),
        )
        model(torch.zeros(1, channels[0], size, size))
    assert_independent(model, drawn((channels[0], size, size), seed), rows)


class Mixing(nn.Module):
    """Compares each image with the others of its batch."""

    def forward(self, images: Tensor) -> Tensor:
        features = images.flatten(1)[:, :10]
        return features - features.mean(dim=0)


class Undecided(nn.Module):
    """Draws random numbers."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)[:, :10] + torch.rand(len(images), 10)


def test_a_model_that_mixes_a_batch_is_given_image_by_image() -> None:
    assert layout_of(Mixing().eval(), torch.Size((1, 4, 4))) == LAYOUTS[-1]
    assert_independent(Mixing(), drawn((1, 4, 4), 0), [7, 3, 11])


def test_a_model_that_draws_numbers_is_not_given_image_by_image() -> None:
    state = torch.random.get_rng_state()
    assert layout_of(Undecided().eval(), torch.Size((1, 4, 4))) == LAYOUTS[0]
    assert torch.equal(torch.random.get_rng_state(), state), "numbers of the caller were used up"


def test_a_model_in_training_mode_is_not_tried() -> None:
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(16), nn.Linear(16, 3))
    assert layout_of(model, torch.Size((1, 4, 4))) == LAYOUTS[0]
    assert int(model[1].num_batches_tracked) == 0  # type: ignore[arg-type]


def test_the_common_network_is_given_small_blocks() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10))
    assert layout_of(model.eval(), torch.Size((1, 4, 4))) == LAYOUTS[0]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 3, 4, 5, 64, 65, 130])
def test_chunks_cover_every_row_once_in_whole_blocks(layout: Layout, count: int) -> None:
    covered = []
    for rows, wanted in layout.chunks(count):
        assert len(rows) % layout.block == 0
        assert len(rows) <= (layout.block if layout.single else 64)
        covered += rows[:wanted].tolist()
        assert set(rows[wanted:].tolist()) <= {rows[wanted - 1].item()}
    assert covered == list(range(count))


def test_filling_up_dense_layers_changes_no_more_than_rounding() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(35, 33), nn.ReLU(), nn.Linear(33, 10, bias=False))
    images = drawn((1, 5, 7), 0)
    filled = Layout(4, aligned=True).call(model, images)
    assert torch.allclose(filled, model(images), atol=1e-6)


def plain() -> nn.Sequential:
    """Return a network whose layout is found once for all of its kind."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 5)).eval()


def _centred(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    """Compare each image with the others of its batch, as a hook."""
    return output - output.mean(dim=0)


def _centred_by_a_hook(model: nn.Sequential) -> None:
    model[1].register_forward_hook(_centred)


def _centred_by_a_forward(model: nn.Sequential) -> None:
    layers = list(model)
    model.forward = lambda x: _centred(model, (), nn.Sequential(*layers)(x))  # type: ignore[method-assign]


class Centring(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return _centred(self, (), super().forward(x))


def _centred_by_a_parametrised_class(model: nn.Sequential) -> None:
    model[3] = Centring(12, 5)
    parametrize.register_parametrization(model[3], "weight", nn.Identity())
    # Printed like torch's own, as a class of any name may be.
    type(model[3]).__name__ = "Linear"


@pytest.mark.parametrize(
    "change", [_centred_by_a_hook, _centred_by_a_forward, _centred_by_a_parametrised_class]
)
def test_a_model_with_more_than_its_layers_does_not_get_the_layout_of_its_plain_twin(
    change: Callable[[nn.Sequential], None],
) -> None:
    shape = torch.Size((1, 4, 4))
    assert layout_of(plain(), shape) == LAYOUTS[0]
    changed = plain()
    change(changed)
    assert layout_of(changed, shape) == LAYOUTS[-1]
    assert layout_of(plain(), shape) == LAYOUTS[0]
    assert_independent(changed, drawn((1, 4, 4), 0), [7, 3, 11])


def test_a_hook_for_all_modules_is_seen_by_models_that_were_tried_before() -> None:
    shape = torch.Size((1, 4, 4))
    assert layout_of(plain(), shape) == LAYOUTS[0]
    handle = nn.modules.module.register_module_forward_hook(_centred)
    try:
        assert layout_of(plain(), shape) == LAYOUTS[-1]
    finally:
        handle.remove()
    assert not list(additions(plain()))


@pytest.mark.parametrize("value", [0.0, torch.nan])
def test_a_network_whose_logits_tell_nothing_decides_for_no_other(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nversion.batches._FOUND", {})
    shape, dead = torch.Size((1, 4, 4)), plain()
    for parameter in dead.parameters():
        parameter.data.fill_(value)
    layout_of(dead, shape)
    assert not batches._FOUND
    layout_of(plain(), shape)
    assert len(batches._FOUND) == 1
