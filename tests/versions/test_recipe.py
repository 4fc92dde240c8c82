from __future__ import annotations

from pathlib import Path

import pytest

from nversion.errors import ConfigError
from nversion.versions import Recipe, load_recipe, recipe_names


def test_the_study_recipe_is_keras_2_2s_adadelta() -> None:
    recipe = load_recipe("study")
    assert recipe.optimiser == "adadelta"
    assert (recipe.learning_rate, recipe.rho, recipe.epsilon) == (1.0, 0.95, 1e-7)
    assert (recipe.batch_size, recipe.epochs, recipe.schedule) == (128, 12, "constant")
    assert recipe.objective == "cross-entropy"


def test_every_shipped_recipe_loads_under_its_own_name() -> None:
    names = ["certified-l2", "certified-linf", "fast", "robust-l2", "robust-linf", "small", "study"]
    assert recipe_names() == names
    for name in recipe_names():
        assert load_recipe(name).name == name


def test_a_recipe_is_given_back_as_it_is(quick: Recipe) -> None:
    assert load_recipe(quick) is quick


def test_a_file_is_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('optimiser = "sgd"\nlearning_rate = 0.1\nepochs = 2\nbatch_size = 64\n')
    recipe = load_recipe(path)
    assert recipe.name == "mine"
    assert recipe.optimiser == "sgd"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimiser = ", "not readable as TOML"),
        ('optimiser = "adam"\nlearning_rate = 1\nepochs = 1\nbatch_size = 1', "optimiser"),
        ('optimiser = "sgd"\nlearning_rate = -1\nepochs = 1\nbatch_size = 1', "learning_rate"),
        ('optimiser = "sgd"\nlearning_rate = nan\nepochs = 1\nbatch_size = 1', "learning_rate"),
        ('optimiser = "sgd"\nlearning_rate = 1\nepochs = 0\nbatch_size = 1', "epochs"),
        ('optimiser = "sgd"\nlearning_rate = 1\nbatch_size = 1', "epochs: is missing"),
        (
            'optimiser = "sgd"\nlearning_rate = 1\nepochs = 1\nbatch_size = 1\nlr = 2',
            "lr: no such key",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="robust-l2, robust-linf, small, study"):
        load_recipe("quick")
