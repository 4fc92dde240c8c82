from __future__ import annotations

import contextlib

import pytest
import torch
from torch import nn

import nversion as nv
from nversion.errors import InputError
from nversion.models import (
    check_images,
    check_labels,
    device_of,
    dtype_of,
    evaluate,
    frozen,
    predict,
)


@pytest.mark.parametrize("name", ["student", "v001", "v002", "v003", "v004", "v005", "v006"])
def test_an_images_logits_are_the_same_bits_in_every_batch(name: str) -> None:
    from nversion.architectures import find_architecture

    model = find_architecture(name).build((1, 28, 28), 10, seed=1)
    images = torch.rand(41, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with frozen(model):
        whole = evaluate(model, images)
        for size in (1, 2, 3, 4, 5, 7, 16, 40):
            rows = torch.randperm(41, generator=torch.Generator().manual_seed(size))[:size]
            assert torch.equal(evaluate(model, images[rows]), whole[rows])
        assert torch.equal(evaluate(model, images, batch_size=9), whole)


def test_a_frozen_model_comes_back_as_it_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 2))
    model[1].eval()
    model[2].bias.requires_grad_(False)
    with contextlib.suppress(RuntimeError), frozen(model):
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())
        raise RuntimeError
    assert model.training
    assert not model[1].training
    assert model[2].weight.requires_grad
    assert not model[2].bias.requires_grad


def test_a_model_is_asked_in_its_own_dtype() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).double()
    assert dtype_of(model) == torch.float64
    assert dtype_of(nn.Flatten()) == torch.float32
    assert device_of(nn.Flatten()) == torch.device("cpu")
    assert evaluate(model, torch.rand(2, 1, 2, 2)).dtype == torch.float32
    assert predict(model, torch.rand(2, 1, 2, 2)).shape == (2,)


def test_a_model_made_for_other_images_is_refused_by_their_shape() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(100, 3))
    with pytest.raises(InputError, match=r"images of \[1, 8, 8\].*made for others"):
        predict(model, torch.rand(4, 1, 8, 8))


def test_a_model_that_gives_no_logits_is_refused() -> None:
    with pytest.raises(InputError, match=r"logits \[count, classes\]"):
        evaluate(nn.Identity(), torch.rand(5, 1, 2, 2))
    with pytest.raises(InputError, match="no images"):
        evaluate(nn.Flatten(), torch.rand(0, 1, 2, 2))


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([[0.0]], "torch.Tensor, not list"),
        (torch.zeros(2, 28, 28), r"\[2, 28, 28\]"),
        (torch.zeros(2, 1, 4, 4, dtype=torch.uint8), "divide 8-bit images by 255"),
        (torch.full((2, 1, 4, 4), float("nan")), "NaN"),
        (torch.full((2, 1, 4, 4), 1.5), "to 1.5"),
        (torch.full((2, 1, 4, 4), -0.5), "from -0.5"),
    ],
)
def test_malformed_images_are_refused(images: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_images(images)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1], "torch.Tensor, not list"),
        (torch.zeros(2), "int64"),
        (torch.zeros(3, dtype=torch.int64), r"\[2\]"),
        (torch.tensor([0, 10]), "below 10"),
        (torch.tensor([-1, 0]), "at least 0"),
    ],
)
def test_malformed_labels_are_refused(labels: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_labels(labels, 2, 10)  # type: ignore[arg-type]


def test_good_input_passes() -> None:
    data = nv.load_dataset("digits")
    check_images(data.test.images)
    check_labels(data.test.labels, len(data.test), data.classes)
    check_images(torch.zeros(0, 1, 4, 4))
