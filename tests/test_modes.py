"""Within PyTorch's modes and for other kinds of images the answers are the same, or a refusal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

import nversion as nv
from nversion.errors import InputError
from nversion.models import predict
from nversion.modes import ordinary


@contextlib.contextmanager
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "float64": double,
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


def network(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 8),
            nn.ReLU(),
            nn.Linear(8, 4),
        ).eval()


NETWORKS = [network(seed) for seed in range(2)]
IMAGES = torch.rand(6, 3, 6, 6, generator=torch.Generator().manual_seed(0))
IMAGES = (IMAGES * 8).round() / 8
LABELS = predict(NETWORKS[0], IMAGES)


def certify(images: Tensor) -> Tensor:
    return nv.certify(NETWORKS[0], images, LABELS, 2, method="alpha", steps=3)


def certify_program(images: Tensor) -> Tensor:
    return nv.certify(nv.Program(NETWORKS), images, LABELS, 2)


def vote(images: Tensor) -> Tensor:
    return nv.Program(NETWORKS).vote(images).probabilities


def attack(name: str) -> Callable[[Tensor], Tensor]:
    return lambda images: nv.attacks.create(name)(NETWORKS[0], images, LABELS, seed=1).images


CALLS = {
    "certify": certify,
    "certify_program": certify_program,
    "vote": vote,
    "deepfool": attack("deepfool"),
    "random-pgd": attack("random-pgd"),
}

each_call = pytest.mark.parametrize("call", CALLS)


@each_call
@pytest.mark.parametrize("mode", MODES)
def test_a_mode_changes_no_answer(call: str, mode: str) -> None:
    expected = CALLS[call](IMAGES)
    with MODES[mode]():
        before = torch.get_default_dtype()
        found = CALLS[call](IMAGES.clone())
        assert torch.get_default_dtype() == before
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


KINDS: dict[str, Callable[[Tensor], Tensor]] = {
    "requires_grad": lambda images: images.clone().requires_grad_(True),
    "channels_last": lambda images: images.to(memory_format=torch.channels_last),
    "float16": lambda images: images.half(),
    "bfloat16": lambda images: images.bfloat16(),
    "float64": lambda images: images.double(),
    "strided": lambda images: images.repeat(1, 1, 1, 2)[..., :6],
}


@each_call
@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_the_images_changes_no_answer(call: str, kind: str) -> None:
    found = CALLS[call](KINDS[kind](IMAGES))
    assert not found.requires_grad
    assert torch.equal(found, CALLS[call](IMAGES))


@each_call
def test_whole_numbers_are_refused_with_advice(call: str) -> None:
    with pytest.raises(InputError, match="divide 8-bit images by 255"):
        CALLS[call]((IMAGES * 255).to(torch.uint8))


@pytest.mark.parametrize("mode", MODES)
def test_training_and_distilling_give_the_same_weights_in_every_mode(mode: str) -> None:
    data = nv.load_dataset("digits")
    recipe = nv.load_recipe("small").model_copy(update={"max_steps": 120, "epochs": 5})
    text = nv.Architecture.parse("flatten\ndense, 16, relu")

    def train() -> tuple[Tensor, ...]:
        version = nv.train(text, data, recipe, seed=1, precision="float32")
        program = nv.Program([version.model])
        distilled = nv.distil(
            program, data, text, recipe, "cross-entropy", seed=1, precision="float32"
        )
        return (
            *version.model.state_dict().values(),
            distilled.labels,
            *(distilled.student.model.state_dict().values()),
        )

    expected = train()
    with MODES[mode]():
        found = train()
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert not one.is_inference()
        assert torch.equal(one, other)


def test_weights_made_in_inference_mode_are_refused() -> None:
    with torch.inference_mode():
        model = nn.Sequential(nn.Flatten(), nn.Linear(108, 4))
    for call in (
        lambda: nv.attacks.create("deepfool")(model, IMAGES, LABELS),
        lambda: nv.certify(model, IMAGES, LABELS, 2),
        lambda: nv.Program([model]).vote(IMAGES),
    ):
        with pytest.raises(InputError, match=r"inference_mode.*outside"):
            call()


def test_modes_come_back_in_the_order_of_leaving() -> None:
    with double():
        with ordinary():
            with ordinary():
                assert torch.get_default_dtype() == torch.float32
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    with torch.no_grad(), ordinary():
        assert torch.is_grad_enabled()
