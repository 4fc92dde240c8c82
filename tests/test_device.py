from __future__ import annotations

import dataclasses

import pytest
import torch

from nversion.architectures import Architecture
from nversion.datasets import load_dataset
from nversion.device import check_device, deterministic, recorder, resolve_device
from nversion.errors import InputError
from nversion.versions import Recipe, train, train_many
from nversion.versions.descent import Material, descend

RECIPE = Recipe(optimiser="adamw", learning_rate=4e-3, epochs=3, batch_size=64)

needs_no_card = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a card")
needs_card = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no card")


def test_a_device_is_one_of_the_names() -> None:
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == torch.device("cpu")
    for wrong in ("gpu", "mps", ""):
        with pytest.raises(InputError, match="device must be"):
            check_device(wrong)


@needs_no_card
def test_without_a_card_cuda_is_refused_and_auto_is_the_processor() -> None:
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match=r"device cuda: PyTorch .*use --device cpu"):
        resolve_device("cuda")
    with pytest.raises(InputError, match="device cuda"):
        train(Architecture.parse("flatten"), load_dataset("digits"), RECIPE, device="cuda")


def test_the_settings_of_pytorch_are_given_back() -> None:
    for device in (torch.device("cpu"), torch.device("cuda")):
        before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        with deterministic(device):
            assert torch.are_deterministic_algorithms_enabled() == (device.type == "cuda")
        after = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
        assert after == before


def test_the_last_thread_gives_the_settings_back() -> None:
    card, before = torch.device("cuda"), torch.are_deterministic_algorithms_enabled()
    first, second = deterministic(card), deterministic(card)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert torch.are_deterministic_algorithms_enabled()
    second.__exit__(None, None, None)
    assert torch.are_deterministic_algorithms_enabled() == before


def test_a_processor_records_nothing() -> None:
    assert recorder(torch.device("cpu"), torch.Generator()) is None


@needs_card
@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "adadelta"])
def test_a_recorded_step_does_what_an_ordinary_one_does(optimiser: str) -> None:
    data, card = load_dataset("digits"), torch.device("cuda")
    architecture = Architecture.parse("conv, 6, relu\nmaxpooling\nflatten\ndense, 16, relu")
    rates = {"adamw": 4e-3, "sgd": 0.1, "adadelta": 1.0}
    recipe = RECIPE.model_copy(update={"optimiser": optimiser, "learning_rate": rates[optimiser]})
    losses = []
    for recorded in (False, True):
        network = architecture.build(data.shape, data.classes, seed=1).to(card).train()
        record = recorder(card, torch.Generator(card)) if recorded else None
        order = torch.Generator().manual_seed(1)
        material = Material(data.train.images, data.train.labels)
        draws = torch.Generator(card)
        given = (network, material, recipe, False, draws, order, "a")
        losses.append(descend(*given, lambda: None, record)[1])
    assert losses[0] == pytest.approx(losses[1], rel=0.02)


@needs_card
def test_several_at_once_on_a_card_are_the_same_as_one_after_the_other() -> None:
    data = load_dataset("digits")
    texts = (
        "conv 6 relu\nmaxpooling\ndropout 0.25\nflatten",
        "flatten\ndense 24 relu\ndropout 0.3",
    )
    named = [
        dataclasses.replace(Architecture.parse(text), name=str(number))
        for number, text in enumerate(texts * 2)
    ]
    one, four = (
        train_many(named, data, RECIPE, 3, workers=workers, device="cuda") for workers in (1, 4)
    )
    for first, second in zip(one, four, strict=True):
        assert first.version is not None
        assert second.version is not None
        a, b = (v.model.state_dict() for v in (first.version, second.version))
        assert all(torch.equal(a[key], b[key]) for key in a)


@needs_card
def test_a_card_trains_to_the_same_bits_again_and_hands_the_network_back() -> None:
    architecture = Architecture.parse("conv, 6, relu\nmaxpooling\nflatten\ndense, 16, relu")
    architecture = dataclasses.replace(architecture, name="a")
    data = load_dataset("digits")
    one, two = (train(architecture, data, RECIPE, 1, device="cuda") for _ in range(2))
    assert one.record.test_accuracy > 0.8
    for first, second in zip(one.model.parameters(), two.model.parameters(), strict=True):
        assert first.device.type == "cpu"
        assert torch.equal(first, second)
