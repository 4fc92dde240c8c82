from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nversion.study import without_times

ARCHITECTURES = {
    "a": "flatten\ndense, 24, relu",
    "b": "conv, 6, relu\nmaxpooling\nflatten",
    "c": "flatten\ndense, 16, relu\ndropout, 0.3",
}
RECIPE = """
optimiser = "adamw"
learning_rate = 4e-3
schedule = "one-cycle"
epochs = 4
batch_size = 64
"""


def comparable(results: dict[str, Any]) -> Any:
    """Return results without times, and without where and by which commit they were made."""
    values = without_times(results)
    del values["study"]["workers"], values["study"]["commit"]
    return values


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The configuration of a study that takes a few seconds."""
    folder = tmp_path_factory.mktemp("tiny")
    for name, text in ARCHITECTURES.items():
        (folder / f"{name}.txt").write_text(text)
    recipe = Path(folder / "recipe.toml")
    recipe.write_text(RECIPE)
    return {
        "dataset": "digits",
        "seed": 3,
        "versions": {"count": 3, "recipe": str(recipe), "architectures": str(folder)},
        "attacks": {
            "names": ["gradient", "gradient-sign", "random-pgd"],
            "images": 3,
            "options": {"random-pgd": {"iterations": 5}},
        },
        "program": {"orders": 20},
        "whole": {"images": 2, "norms": [2], "sizes": [2], "best": 1, "checked_images": 0},
        "evaluation": {"frequency_images": 4},
        "certification": {
            "method": "interval",
            "images": 5,
            "random_target_images": 4,
            "attack_passes": 200,
            "program_images": 3,
            "program_versions": 2,
        },
        "run": {"workers": 1},
    }
