from __future__ import annotations

import pytest

import nversion as nv
from nversion.versions import Recipe, load_recipe


@pytest.fixture(scope="session")
def digits() -> nv.Dataset:
    return nv.load_dataset("digits")


@pytest.fixture(scope="session")
def quick() -> Recipe:
    """A recipe that learns the digits in a second."""
    return load_recipe("small").model_copy(update={"name": "quick", "epochs": 4})


@pytest.fixture(scope="session")
def small_conv() -> nv.Architecture:
    return nv.Architecture.parse(
        "conv, 8, relu\nmaxpooling\ndropout, 0.1\nflatten\ndense, 32, relu"
    )


@pytest.fixture(scope="session")
def small_dense() -> nv.Architecture:
    return nv.Architecture.parse("flatten\ndense, 32, relu\ndropout, 0.2\ndense, 16, tanh")
