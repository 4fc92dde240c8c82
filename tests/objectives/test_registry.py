from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from nversion.distillation.student import recipes
from nversion.errors import ConfigError, InputError, TrainingError
from nversion.versions import Objective, create_objective, load_recipe, objective_names

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.1, 0.2, -3.0]])
LABELS = torch.tensor([0, 2])
SOFT = torch.nn.functional.one_hot(LABELS, 3).float()


def test_the_objectives_are_what_they_say() -> None:
    outputs = LOGITS.softmax(dim=1)
    expected = {
        "cross-entropy": -outputs.gather(1, LABELS[:, None]).log().mean(),
        "mean-squared-error": (outputs - SOFT).square().mean(),
    }
    assert objective_names()[:2] == list(expected)
    for name, value in expected.items():
        objective = create_objective(name)
        assert isinstance(objective, Objective)
        torch.testing.assert_close(objective(LOGITS, LABELS), value)
        torch.testing.assert_close(objective(LOGITS, SOFT), value)


def test_an_objective_gives_one_number() -> None:
    @dataclasses.dataclass(frozen=True)
    class Each(Objective):
        name: ClassVar[str] = "each"

        def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
            return logits.square().sum(dim=1)

    with pytest.raises(TrainingError, match=r"objective each must give one number.*\[2\]"):
        Each()(LOGITS, LABELS)


def test_an_unknown_objective_is_refused_where_it_is_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'optimiser = "sgd"\nlearning_rate = 0.1\nepochs = 1\nbatch_size = 8\nobjective = "mse"\n'
    )
    with pytest.raises(ConfigError, match=r"mine.toml: objective: no objective is called 'mse'"):
        load_recipe(file)
    # A copy of a recipe is not checked by pydantic, and every unknown name was the squared error.
    with pytest.raises(InputError, match="did you mean 'mean-squared-error'"):
        recipes("small", "mean-square-error")


def test_a_plugins_objective_is_a_recipes(install: Callable[..., Path]) -> None:
    text = (
        "import dataclasses\nfrom nversion.versions import Objective\n"
        "@dataclasses.dataclass(frozen=True)\nclass Hinge(Objective):\n    name = 'hinge'\n"
        "    def loss(self, logits, targets):\n        return logits.relu().mean()\n"
    )
    from nversion.objectives.registry import OBJECTIVES

    install("with_hinge", text, {"nversion.objectives": {"hinge": "with_hinge:Hinge"}})
    try:
        values = load_recipe("small").model_dump() | {"objective": "hinge"}
        assert type(load_recipe("small"))(**values).objective == "hinge"
        assert "with_hinge" in sys.modules
    finally:
        OBJECTIVES._makers.pop("hinge", None)
