"""The shipped text files: what the generator gives, byte for byte, and what the finder finds."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import torch

from nversion.architectures import (
    CATALOGUE_COUNT,
    CATALOGUE_SEED,
    CATALOGUE_SHAPE,
    Architecture,
    catalogue,
    find_architecture,
    generate,
    student_architecture,
)
from nversion.errors import ArchitectureError, InputError

MNIST = (1, 28, 28)
FOLDER = files("nversion.architectures") / "catalogue"


def test_generating_again_gives_the_shipped_files_byte_for_byte() -> None:
    generated = generate(CATALOGUE_COUNT, CATALOGUE_SEED, CATALOGUE_SHAPE)
    assert {f"{a.name}.txt": a.to_text().encode() for a in generated} == {
        file.name: file.read_bytes() for file in FOLDER.iterdir()
    }


def test_the_catalogue_is_a_hundred_different_ones_with_their_own_names() -> None:
    some = catalogue()
    assert len(some) == len(set(some)) == len({a.name for a in some}) == 100
    assert [a.name for a in some[:2]] == ["v001", "v002"]
    assert sum(a.kind == "convolutional" for a in some) == 50
    assert student_architecture() not in some


def test_all_hundred_build_and_compute() -> None:
    images = torch.rand(2, *MNIST)
    for architecture in catalogue():
        with torch.no_grad():
            assert architecture.build(MNIST, 10).eval()(images).shape == (2, 10)


@pytest.mark.slow
def test_all_hundred_train_for_fifty_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(64, *MNIST, generator=generator)
    labels = torch.randint(10, (64,), generator=generator)
    for architecture in catalogue():
        model = architecture.build(MNIST, 10)
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(50):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.isfinite(), architecture.name


def test_a_smaller_catalogue_is_its_beginning_and_a_larger_one_goes_on() -> None:
    assert catalogue(10) == catalogue()[:10]
    longer = catalogue(102)
    assert longer[:100] == catalogue()
    assert len(set(longer)) == 102


def test_other_images_classes_and_seeds_get_generated_ones() -> None:
    for some, shape, classes in (
        (catalogue(12, (1, 8, 8)), (1, 8, 8), 10),
        (catalogue(12, (3, 32, 32), 100), (3, 32, 32), 100),
        (catalogue(12, seed=8), MNIST, 10),
    ):
        assert len(set(some)) == 12
        assert some != catalogue(12)
        for architecture in some:
            architecture.check(shape, classes)


@pytest.mark.parametrize("count", [0, -3, True])
def test_counts_that_make_no_sense(count: int) -> None:
    with pytest.raises(InputError, match="count must be a whole number"):
        catalogue(count)


def test_the_student_is_the_one_of_the_study() -> None:
    student = student_architecture()
    assert student.name == "student"
    # The parameters of the network that the 2019 study trained with Keras.
    assert student.parameters(MNIST, 10) == 1_199_882
    student.check((1, 8, 8), 10)


def test_finding_by_name_and_by_file(tmp_path: Path) -> None:
    assert find_architecture("student") == student_architecture()
    found = find_architecture("v017")
    assert (found, found.name) == (catalogue()[16], "v017")
    assert find_architecture("v003", (1, 8, 8)) == catalogue(3, (1, 8, 8))[2]
    path = tmp_path / "mine.txt"
    Architecture.parse("dense, 8, relu").save(path)
    assert path.read_bytes() == b"dense, 8, relu\n"
    assert find_architecture(str(path)).name == "mine"


@pytest.mark.parametrize("name", ["v000", "v101", "v1", "vgg16", "missing.txt", "../student"])
def test_a_name_that_is_not_found_says_what_there_is(name: str) -> None:
    with pytest.raises(ArchitectureError, match=r"neither in the catalogue \(v001 to v100"):
        find_architecture(name)
