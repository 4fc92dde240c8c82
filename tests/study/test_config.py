from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nversion.adversarial import PerceptibilityRule
from nversion.errors import ConfigError
from nversion.program import SoftVoter
from nversion.program.voters.registry import VOTERS
from nversion.study import AttackPlan
from nversion.study.config import config_text, load_config, make_config, save_config


def test_nothing_given_is_the_digits_study() -> None:
    config = make_config({})
    assert (config.name, config.dataset, config.versions.recipe) == ("digits", "digits", "small")
    assert (config.versions.count, config.attacks.images) == (10, 13)


def test_mnist_gets_its_own_defaults() -> None:
    config = make_config({"dataset": "mnist"})
    assert (config.name, config.versions.recipe) == ("mnist", "fast")


def test_what_is_saved_loads_back_the_same(tmp_path: Path, tiny: dict[str, Any]) -> None:
    config = make_config(tiny)
    save_config(config, tmp_path / "study.toml")
    assert make_config(load_config(tmp_path / "study.toml")) == config


def test_where_it_runs_changes_nothing_that_matters(tiny: dict[str, Any]) -> None:
    one, two = make_config(tiny), make_config({**tiny, "run": {"workers": 7}})
    assert one.what_matters() == two.what_matters()
    assert make_config({**tiny, "seed": 4}).what_matters() != one.what_matters()


def test_the_whole_configuration_is_shown() -> None:
    text = config_text(make_config({}))
    for section in ("versions", "attacks", "program", "distillation", "certification", "run"):
        assert f"[{section}]" in text


def test_the_perceptibility_rule_is_read_and_written(tmp_path: Path) -> None:
    assert AttackPlan.of(make_config({})).rule == PerceptibilityRule()
    section = {"largest_rms": 0.25, "smallest_ssim": "off", "largest_linf": 0.5}
    config = make_config({"attacks": {"perceptibility": section}})
    rule = PerceptibilityRule(largest_rms=0.25, smallest_ssim=None, largest_linf=0.5)
    assert AttackPlan.of(config).rule == rule
    save_config(config, tmp_path / "study.toml")
    assert load_config(tmp_path / "study.toml")["attacks"]["perceptibility"] == section
    assert make_config(load_config(tmp_path / "study.toml")) == config


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"version": {}}, "version: no such key (did you mean 'versions'?)"),
        ({"versions": {"cuont": 2}}, "versions.cuont: no such key (did you mean 'count'?)"),
        ({"versions": 5}, "versions: is a section, not 5; set a key of it, such as versions.files"),
        ({"attacks": {"options": {"gradient": 5}}}, "attacks.options.gradient: is a section"),
        (
            {"attacks": {"options": {"gradient": {"steps": "x"}}}},
            "steps must be a whole number of at least 1, not 'x'",
        ),
        ({"run": {"engine": "procesess"}}, "(did you mean 'processes'?)"),
        ({"versions": {"count": 0}}, "versions.count"),
        ({"versions": {"recipe": "slow"}}, "no recipe is called 'slow'"),
        ({"attacks": {"names": ["gradient", "gradient"]}}, "twice"),
        ({"attacks": {"names": ["gradiant"]}}, "no attack is called 'gradiant'"),
        ({"attacks": {"options": {"random-pgd": {"epsilom": 1}}}}, "no option 'epsilom'"),
        ({"attacks": {"options": {"apgd": {"steps": 1}}}}, "not among attacks.names"),
        ({"attacks": {"perceptibility": {"largest_rms": 2}}}, "attacks.perceptibility.largest_rms"),
        ({"attacks": {"perceptibility": {"smallest_ssim": "of"}}}, "smallest_ssim"),
        ({"program": {"voter": "loudest"}}, "loudest"),
        (
            {"distillation": {"objective": "mse"}},
            "distillation.objective: no objective is called 'mse'",
        ),
        ({"certification": {"norms": [3]}}, "certification.norms"),
        ({"certification": {"method": "magic"}}, "certification.method"),
        ({"certification": {"attack_passes": 100}}, "certification.attack_passes"),
        ({"run": {"workers": 0}}, "run.workers"),
        ({"seed": -1}, "seed"),
        ({"name": "../x"}, "name"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(values, "mine.toml")
    assert said in str(caught.value)


def test_a_choice_between_a_number_and_a_word_is_one_line() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config({"attacks": {"perceptibility": {"largest_rms": 2}}})
    assert str(caught.value).endswith("must be less than or equal to 1, not 2; or 'off'")
    assert "\n" not in str(caught.value)


def test_a_value_from_the_command_line_is_named_by_its_option() -> None:
    origins = {"versions.count": "--versions", "versions": "--set versions"}
    with pytest.raises(ConfigError, match=r"^--versions: must be"):
        make_config({"versions": {"count": 0}}, "mine.toml", origins)
    with pytest.raises(ConfigError, match=r"^mine\.toml: seed: must be"):
        make_config({"seed": -1}, "mine.toml", origins)


@pytest.mark.parametrize("text", ["seed = ", "\xff"])
def test_an_unreadable_file_is_refused_by_its_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        load_config(path)
    with pytest.raises(ConfigError, match="no such file"):
        load_config(tmp_path / "other.toml")


def test_a_vote_that_cannot_be_certified_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @dataclasses.dataclass(frozen=True)
    class Uncertified(SoftVoter):
        name: ClassVar[str] = "uncertified"

    monkeypatch.setitem(VOTERS._makers, "uncertified", Uncertified)
    values: dict[str, Any] = {"program": {"voter": "uncertified"}}
    with pytest.raises(ConfigError, match=r"mine.toml: program.voter: there is no certificate"):
        make_config(values, "mine.toml")
    values["certification"] = {"program_images": 0}
    assert make_config(values).program.voter == "uncertified"
