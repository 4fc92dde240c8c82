"""Architectures: files, shapes, costs, limits, and the models they build."""

from __future__ import annotations

import math
from itertools import groupby
from pathlib import Path

import pytest
import torch
from torch import nn

from nversion.architectures import (
    ACTIVATIONS,
    Architecture,
    AveragePooling,
    Conv,
    Dense,
    Dropout,
    Flatten,
    MaxPooling,
)
from nversion.errors import ArchitectureError, InputError

MNIST = (1, 28, 28)
STUDENT = (
    "conv, 32, relu\nconv, 64, relu\nmaxpooling\ndropout, 0.25\nflatten\n"
    "dense, 128, relu\ndropout, 0.5\n"
)
EVERYTHING = (
    "conv, 4, tanh, 5, padding=2, stride=2\nbatchnorm\naveragepooling\n"
    "conv, 6, sigmoid\nmaxpooling\ndropout, 0.1\nflatten\ndense, 9, leaky-relu\nbatchnorm\n"
    "dense, 8, linear\ndense, 7, relu"
)


def test_a_file_gives_its_name_and_its_path_in_errors(tmp_path: Path) -> None:
    path = tmp_path / "network7.txt"
    path.write_bytes(b"conv, 8, relu\r\nmaxpooling\r\nflattern\r\ndense, 16, relu")
    loaded = Architecture.load(path)
    assert loaded.name == "network7"
    assert loaded.layers == (Conv(8, "relu"), MaxPooling(), Flatten(), Dense(16, "relu"))
    assert Architecture.load(str(path), name="v1").name == "v1"
    path.write_text("flatten\nconv, many, relu\n")
    with pytest.raises(ArchitectureError, match=r"network7\.txt, line 2: 'conv, many, relu'"):
        Architecture.load(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"missing\.txt: no such file"):
        Architecture.load(tmp_path / "missing.txt")
    with pytest.raises(ArchitectureError, match="is not a plain file"):
        Architecture.load(tmp_path)
    binary = tmp_path / "weights.bin"
    binary.write_bytes(b"flatten\n\xff\xfe\x00")
    with pytest.raises(ArchitectureError, match=r"weights\.bin: not readable as UTF-8 text"):
        Architecture.load(binary)
    binary.write_bytes(b"#" * 1_000_001)
    with pytest.raises(ArchitectureError, match=r"weights\.bin: more than 1,000,000 bytes"):
        Architecture.load(binary)


def test_equality_is_by_layers_and_not_by_name() -> None:
    one = Architecture.parse("flatten", name="a")
    assert one == Architecture((Flatten(),), name="b") == one.named("c")
    assert len({one, one.named("d"), Architecture.parse("flattern")}) == 1
    assert one != Architecture.parse("flatten\nflatten")


def test_kind() -> None:
    assert Architecture.parse(STUDENT).kind == "convolutional"
    assert Architecture.parse("maxpooling\nflatten\ndense 8 relu").kind == "dense"


def test_layers_are_checked_when_made_in_python() -> None:
    with pytest.raises(InputError, match="layers must be layers"):
        Architecture(("conv",))  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="between 1 and 1000 layers, not 0"):
        Architecture(())
    with pytest.raises(ArchitectureError, match=r"filters must be a whole number, not 8\.0"):
        Conv(8.0, "relu")  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match="units must be a whole number, not True"):
        Dense(True, "relu")
    with pytest.raises(ArchitectureError, match=r"rate must be a number, not '0\.5'"):
        Dropout("0.5")  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match=r"activation must be one of .*, not 'gelu'"):
        Dense(8, "gelu")
    assert Dropout(0) == Dropout(-0.0)
    assert repr(Dropout(-0.0)) == repr(Dropout(0))


def test_shapes_and_costs_of_the_student() -> None:
    architecture = Architecture.parse(STUDENT)
    assert architecture.shapes(MNIST) == [
        (32, 26, 26), (64, 24, 24), (64, 12, 12), (64, 12, 12), (9216,), (128,), (128,),
    ]  # fmt: skip
    rows = architecture.table(MNIST, 10)
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6, 7, None]
    assert rows[-1].text == "dense, 10, linear"
    assert rows[-1].output_shape == (10,)
    # As Keras prints for this network.
    assert [row.parameters for row in rows] == [320, 18496, 0, 0, 0, 1179776, 0, 1290]
    assert architecture.parameters(MNIST, 10) == 1199882
    assert [row.multiply_adds for row in rows] == [
        26 * 26 * 32 * 9, 24 * 24 * 64 * 32 * 9, 0, 0, 0, 9216 * 128, 0, 1280,
    ]  # fmt: skip
    assert architecture.multiply_adds(MNIST, 10) == sum(row.multiply_adds for row in rows)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 17, 23)])
@pytest.mark.parametrize("text", [STUDENT, EVERYTHING, "flatten", "dropout, 0.5"])
def test_the_model_agrees_with_the_shapes_and_the_parameters(
    text: str, shape: tuple[int, int, int]
) -> None:
    architecture = Architecture.parse(text)
    model = architecture.build(shape, 5)
    assert model(torch.rand(4, *shape)).shape == (4, 5)
    counted = sum(parameter.numel() for parameter in model.parameters())
    assert counted == architecture.parameters(shape, 5)
    values, seen = torch.rand(2, *shape), []
    for module in model:
        values = module(values)
        seen.append(tuple(values.shape[1:]))
    # Activations are modules of their own and keep the shape: compare the changes.
    expected = [row.output_shape for row in architecture.table(shape, 5)]
    assert [key for key, _ in groupby(seen)] == [key for key, _ in groupby(expected)]


def test_every_activation_and_module_is_the_plain_torch_one() -> None:
    model = Architecture.parse(EVERYTHING).build(MNIST, 3)
    assert [type(module) for module in model] == [
        nn.Conv2d, nn.Tanh, nn.BatchNorm2d, nn.AvgPool2d, nn.Conv2d, nn.Sigmoid, nn.MaxPool2d,
        nn.Dropout, nn.Flatten, nn.Linear, nn.LeakyReLU, nn.BatchNorm1d, nn.Linear, nn.Linear,
        nn.ReLU, nn.Linear,
    ]  # fmt: skip
    assert model[10].negative_slope == 0.01
    assert (model[0].stride, model[0].padding, model[0].kernel_size) == ((2, 2), (2, 2), (5, 5))
    for name in ACTIVATIONS:
        Architecture((Dense(4, name),)).build(MNIST, 3)


@pytest.mark.parametrize("text", ["maxpooling\ndense, 8, relu", "conv, 3, relu", "dropout, 0.1"])
def test_a_missing_flatten_is_put_in(text: str) -> None:
    architecture = Architecture.parse(text)
    rows = architecture.table(MNIST, 10)
    assert next(row.text for row in rows if row.number is None) == "flatten"
    assert sum(isinstance(module, nn.Flatten) for module in architecture.build(MNIST, 10)) == 1
    assert len(architecture.shapes(MNIST)) == len(architecture.layers)


def test_weights_are_glorot_uniform_and_biases_zero() -> None:
    model = Architecture.parse("conv, 64, relu\nflatten\ndense, 64, relu").build(MNIST, 10, seed=3)
    fans = {0: (9, 64 * 9), 3: (64 * 26 * 26, 64), 5: (64, 10)}
    for index, (fan_in, fan_out) in fans.items():
        weight = model[index].weight.detach()
        limit = math.sqrt(6 / (fan_in + fan_out))
        assert weight.abs().max() <= limit
        assert weight.abs().max() > 0.95 * limit
        # The variance of a uniform distribution over [-limit, limit] is limit^2 / 3.
        assert float(weight.var()) == pytest.approx(limit**2 / 3, rel=0.15)
        assert not model[index].bias.any()


def test_the_same_seed_gives_the_same_bits_and_no_global_state_is_touched() -> None:
    architecture = Architecture.parse(STUDENT)
    before = torch.random.get_rng_state()
    one, two = architecture.build(MNIST, 10, seed=1), architecture.build(MNIST, 10, seed=1)
    other = architecture.build(MNIST, 10, seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    for key, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[key])
    assert not torch.equal(one[0].weight, other[0].weight)
    assert one[0].weight.dtype == torch.float32
    assert one.training


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "conv, 8, relu\nmaxpooling\n" * 4,
            r"net: layer 7 \(conv, 8, relu\) cannot take its input of 8x1x1: "
            r"a 3x3 kernel does not fit into 1x1 pixels",
        ),
        (
            "conv, 8, relu\nmaxpooling, 27",
            r"net: layer 2 \(maxpooling, 27\) cannot take its input of 8x26x26: "
            r"a 27x27 pool is larger than 26x26 pixels",
        ),
        (
            "averagepooling, 30",
            r"layer 1 \(averagepooling, 30\) .* 1x28x28: a 30x30 pool is larger than 28x28",
        ),
        (
            "flatten\nconv, 8, relu",
            r"layer 2 \(conv, 8, relu\) cannot take its input of 784: it needs an image; put it "
            r"before the flatten",
        ),
        ("dense, 9, relu\nmaxpooling", r"layer 2 \(maxpooling\) .* of 9: it needs an image"),
        (
            "conv, 8, relu, 40, padding=2",
            r"a 40x40 kernel does not fit into 28x28 pixels with padding 2",
        ),
        (
            "dense, 1000000, relu",
            r"layer 1 \(dense, 1000000, relu\) .* 784: it brings the parameters to 785,000,000; "
            r"100,000,000 are the limit",
        ),
        (
            "conv, 100000, relu",
            r"layer 1 .*: it gives 67,600,000 values per image; 10,000,000 are the limit",
        ),
    ],
)
def test_a_layer_that_does_not_fit_is_named(text: str, message: str) -> None:
    architecture = Architecture.parse(text, name="net")
    for call in (
        lambda: architecture.check(MNIST, 10),
        lambda: architecture.shapes(MNIST),
        lambda: architecture.table(MNIST, 10),
        lambda: architecture.build(MNIST, 10),
    ):
        with pytest.raises(ArchitectureError, match=message):
            call()


def test_the_classifying_layer_is_named_when_it_is_too_large() -> None:
    with pytest.raises(ArchitectureError, match=r"the classifying layer \(dense, 200000, linear"):
        Architecture.parse("flatten").check(MNIST, 200_000)


@pytest.mark.parametrize("shape", [(28, 28), (1, 0, 28), (1, 28, 28.0), (1, 28, True), ()])
def test_shapes_that_make_no_sense(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"shape must be \(channels, height, width\)"):
        Architecture.parse("flatten").check(shape, 10)


@pytest.mark.parametrize("classes", [1, 0, True, 2.0])
def test_classes_that_make_no_sense(classes: int) -> None:
    with pytest.raises(InputError, match="classes must be a whole number"):
        Architecture.parse("flatten").build(MNIST, classes)


def test_pooling_drops_what_is_left_over() -> None:
    for layer in (MaxPooling(3), AveragePooling(3)):
        assert Architecture((layer,)).shapes((2, 8, 11)) == [(2, 2, 3)]
