from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nversion.adversarial import (
    AdversarialSet,
    AttackRun,
    PerceptibilityRule,
    SetRecord,
    build,
    summarise,
)
from nversion.errors import ArtefactError

Made = tuple[AdversarialSet, SetRecord]


@pytest.fixture(name="made")
def _made(make_run: Callable[..., AttackRun], tmp_path: Path) -> Made:
    runs = [make_run("a"), make_run("a", "random-pgd", strength=0.9)]
    rule = PerceptibilityRule()
    adversarial = build(runs, rule)
    adversarial.save(tmp_path)
    record = SetRecord.of(
        adversarial,
        summarise(runs, rule),
        rule,
        dataset="digits",
        dataset_digest="0f",
        seed=7,
        images_per_version=6,
    )
    record.save(tmp_path)
    return adversarial, record


def test_it_loads_back_and_names_what_was_left_out(made: Made, tmp_path: Path) -> None:
    adversarial, record = made
    assert SetRecord.load(tmp_path, adversarial) == record
    assert record.set_digest == adversarial.digest
    assert [(row["name"], row["in_adversarial_set"]) for row in record.attacks] == [
        ("gradient", True),
        ("random-pgd", False),
    ]
    assert "SSIM" in record.perceptibility_rule


def test_a_set_without_a_record_is_no_error(made: Made, tmp_path: Path) -> None:
    assert SetRecord.load(tmp_path / "elsewhere", made[0]) is None


def test_the_record_of_another_set_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="belongs to another set"):
        SetRecord.load(tmp_path, made[0].select(torch.tensor([0])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 0}, "record of format 1"),
        ({"more": 1}, "not an adversarial set's record"),
        ({"dataset": "../digits"}, "dataset: a name must be plain"),
        ({"seed": "7"}, "not an adversarial set's record: seed"),
        ({"attacks": [{"name": "gradient"}]}, "a row lacks 'median_l0'"),
        ({"attacks": [1]}, "not an adversarial set's record: attacks"),
    ],
)
def test_a_foreign_file_is_refused(
    made: Made,
    tmp_path: Path,
    change: dict[str, Any],
    message: str,
) -> None:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ArtefactError, match=message):
        SetRecord.load(tmp_path, made[0])
    path.write_text("[]")
    with pytest.raises(ArtefactError, match=str(path)):
        SetRecord.load(tmp_path, made[0])


def test_a_row_of_the_table_has_values_of_their_types(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    values = json.loads(path.read_text())
    values["attacks"][0]["effectiveness"] = "all"
    path.write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match=r"record\.json: .*attacks: effectiveness"):
        SetRecord.load(tmp_path, made[0])


def test_control_characters_do_not_reach_the_terminal(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    values = json.loads(path.read_text())
    values["perceptibility_rule"] = values["attacks"][1]["reason"] = "\x1b[2Jgone"
    path.write_text(json.dumps(values))
    record = SetRecord.load(tmp_path, made[0])
    assert record.perceptibility_rule == record.attacks[1]["reason"] == "\ufffd[2Jgone"
