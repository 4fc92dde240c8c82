from __future__ import annotations

import dataclasses

import pytest
import torch

from nversion.architectures import Architecture
from nversion.datasets import load_dataset
from nversion.device import check_device, deterministic, resolve_device
from nversion.errors import InputError
from nversion.versions import Recipe, train

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
