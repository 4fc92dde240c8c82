from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from nversion.architectures import Architecture
from nversion.datasets import load_dataset
from nversion.versions import Recipe, train

RECIPE = Recipe(optimiser="adamw", learning_rate=4e-3, epochs=4, batch_size=64)


@pytest.fixture(scope="session")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two small versions, a and b, trained on digits."""
    folder, data = tmp_path_factory.mktemp("versions"), load_dataset("digits")
    for name, width in (("a", 16), ("b", 24)):
        architecture = Architecture.parse(f"flatten\ndense, {width}, relu")
        architecture = dataclasses.replace(architecture, name=name)
        train(architecture, data, RECIPE, seed=1).save(folder / name)
    return folder
