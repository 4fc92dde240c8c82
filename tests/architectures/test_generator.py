"""The generator: different, valid, affordable, evenly spread, and the same for the same seed."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nversion.architectures import Architecture, Conv, Dense, Dropout, MaxPooling, generate
from nversion.architectures.generator import FEATURES_PER_CLASS, MULTIPLY_ADDS, VALUES
from nversion.errors import ArchitectureError, InputError

MNIST = (1, 28, 28)
DIGITS = (1, 8, 8)
CIFAR = (3, 32, 32)


@pytest.fixture(scope="module", params=[MNIST, DIGITS, CIFAR], ids=["mnist", "digits", "cifar"])
def drawn(request: pytest.FixtureRequest) -> tuple[tuple[int, int, int], list[Architecture]]:
    return request.param, generate(100, 11, request.param)


def test_all_are_different_valid_and_affordable(
    drawn: tuple[tuple[int, int, int], list[Architecture]],
) -> None:
    shape, architectures = drawn
    assert len(set(architectures)) == 100
    scale = max(1.0, shape[1] * shape[2] / 784)
    for architecture in architectures:
        rows = architecture.table(shape, 10)
        assert sum(row.multiply_adds for row in rows) <= MULTIPLY_ADDS * scale
        assert sum(math.prod(row.output_shape) for row in rows) <= VALUES * scale
        features = next(row.output_shape[0] for row in rows if len(row.output_shape) == 1)
        assert features >= FEATURES_PER_CLASS * 10


def test_kinds_alternate_and_names_count_up(
    drawn: tuple[tuple[int, int, int], list[Architecture]],
) -> None:
    _, architectures = drawn
    assert [a.kind for a in architectures] == ["convolutional", "dense"] * 50
    assert [a.name for a in architectures] == [f"v{number:03d}" for number in range(1, 101)]


def test_all_build_and_compute(drawn: tuple[tuple[int, int, int], list[Architecture]]) -> None:
    shape, architectures = drawn
    if shape == CIFAR:
        architectures = architectures[:10]
    images = torch.rand(2, *shape)
    for architecture in architectures:
        with torch.no_grad():
            assert architecture.build(shape, 10).eval()(images).isfinite().all()


@pytest.mark.parametrize("seed", [0, 7, 123456789])
def test_every_prefix_is_a_mix(seed: int) -> None:
    architectures = generate(64, seed, MNIST)
    for kind, layer, depths in (("convolutional", Conv, 4), ("dense", Dense, 5)):
        some = [a for a in architectures if a.kind == kind]
        depth = [sum(isinstance(x, layer) for x in a.layers) for a in some]
        assert len(set(depth[:5])) >= 3
        assert set(depth[:8]) >= {1, 2, 3, 4}
        assert set(depth) == set(range(1, depths + 1))
        assert max(Counter(depth).values()) <= len(some) / 2
        for prefix in (some[:8], some[:16], some):
            dropped = sum(any(isinstance(x, Dropout) for x in a.layers) for a in prefix)
            assert 0.2 <= dropped / len(prefix) <= 0.9
    widths = [next(x for x in a.layers if isinstance(x, Dense)).units for a in architectures[1::2]]
    assert min(widths[:8]) <= 64 < 256 <= max(widths[:8])
    pooled = [any(isinstance(x, MaxPooling) for x in a.layers) for a in architectures[0:16:2]]
    assert 0 < sum(pooled) < 8


@given(st.integers(0, 2**40), st.integers(1, 20), st.integers(1, 20))
@settings(deadline=None, max_examples=8)
def test_a_longer_list_begins_with_a_shorter_one(seed: int, short: int, more: int) -> None:
    longer = generate(short + more, seed, DIGITS)
    again = generate(short, seed, DIGITS)
    assert again == longer[:short]
    assert [a.name for a in again] == [a.name for a in longer[:short]]


def test_seeds_differ() -> None:
    assert set(generate(20, 1, DIGITS)) != set(generate(20, 2, DIGITS))


def test_more_classes_need_more_features() -> None:
    for architecture in generate(40, 3, MNIST, classes=100):
        assert all(x.units >= 100 for x in architecture.layers if isinstance(x, Dense))


def test_a_space_that_is_too_small_says_how_many_there_are() -> None:
    shape = (1, 3, 3)
    with pytest.raises(ArchitectureError) as caught:
        generate(5000, 0, shape)
    message = re.fullmatch(
        r"only ([0-9]+) different architectures, half of them convolutional, can be generated "
        r"for images of 1x3x3 and 10 classes, not 5000; .*",
        str(caught.value),
    )
    assert message
    possible = int(message[1])
    assert len(set(generate(possible, 0, shape))) == possible
    with pytest.raises(ArchitectureError, match=f"only {possible} different"):
        generate(possible + 1, 0, shape)


def test_no_convolution_fits_into_two_pixels() -> None:
    with pytest.raises(ArchitectureError, match="only 0 different architectures"):
        generate(2, 0, (1, 1, 2))


@pytest.mark.parametrize("count", [0, -1, True, 2.0])
def test_counts_that_make_no_sense(count: int) -> None:
    with pytest.raises(InputError, match="count must be a whole number"):
        generate(count, 0, MNIST)


def test_shapes_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="shape must be"):
        generate(2, 0, (28, 28))
