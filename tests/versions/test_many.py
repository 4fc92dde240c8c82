from __future__ import annotations

import dataclasses

import pytest
import torch

import nversion as nv
from nversion.errors import InputError
from nversion.versions import Recipe

TEXTS = {
    "a": "flatten\ndense, 24, relu",
    "b": "conv, 6, relu\nmaxpooling\nflatten",
    "c": "flatten\ndense, 16, relu\ndropout, 0.3",
}


@pytest.fixture
def architectures() -> list[nv.Architecture]:
    return [
        dataclasses.replace(nv.Architecture.parse(text), name=name) for name, text in TEXTS.items()
    ]


def test_results_do_not_depend_on_workers_or_company(
    digits: nv.Dataset, architectures: list[nv.Architecture], quick: Recipe
) -> None:
    alone = nv.train_many(architectures[1:2], digits, quick, 5, workers=1)
    one = nv.train_many(architectures, digits, quick, 5, workers=1)
    two = nv.train_many(architectures, digits, quick, 5, workers=2)
    assert [outcome.name for outcome in two] == list(TEXTS)
    for first, second in zip([*one, one[1]], [*two, alone[0]], strict=True):
        assert first.version is not None
        assert second.version is not None
        ours, theirs = first.version.model.state_dict(), second.version.model.state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_failing_version_does_not_stop_the_others(
    digits: nv.Dataset, architectures: list[nv.Architecture]
) -> None:
    too_large = dataclasses.replace(nv.Architecture.parse("conv, 4, relu, 9"), name="large")
    recipe = Recipe(optimiser="adamw", learning_rate=4e-3, epochs=3, batch_size=64)
    outcomes = nv.train_many([architectures[0], too_large], digits, recipe, workers=1)
    assert outcomes[0].version is not None
    assert outcomes[1].version is None
    assert outcomes[1].error
    assert "9" in outcomes[1].error


def test_names_must_be_there_and_differ(
    digits: nv.Dataset, architectures: list[nv.Architecture], quick: Recipe
) -> None:
    with pytest.raises(InputError, match="name of its own"):
        nv.train_many([architectures[0], architectures[0]], digits, quick)
    nameless = dataclasses.replace(architectures[0], name=None)
    with pytest.raises(InputError, match="name of its own"):
        nv.train_many([nameless], digits, quick)


def test_threads_give_the_same_bits_with_dropout(digits: nv.Dataset, quick: Recipe) -> None:
    texts = (
        "conv 4 relu\nmaxpooling\ndropout 0.2\nflatten",
        "flatten\ndense 24 relu\ndropout 0.3",
    )
    named = [
        dataclasses.replace(nv.Architecture.parse(text), name=str(number))
        for number, text in enumerate(texts * 2)
    ]
    one, four = (
        nv.train_many(named, digits, quick, 3, workers=workers, engine="threads")
        for workers in (1, 4)
    )
    for first, second in zip(one, four, strict=True):
        assert first.version is not None
        assert second.version is not None
        a, b = (v.model.state_dict() for v in (first.version, second.version))
        assert all(torch.equal(a[key], b[key]) for key in a)
