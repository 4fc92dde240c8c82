"""What a set holds, with its record and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nversion.adversarial import AttackRun, PerceptibilityRule, SetRecord, build, summarise
from nversion.adversarial.contents import MEDIANS, SetContents


def test_without_a_record_the_table_is_what_the_images_tell(
    make_run: Callable[..., AttackRun], tmp_path: Path
) -> None:
    runs, rule = [make_run("a"), make_run("b", "random-pgd")], PerceptibilityRule()
    adversarial = build(runs, rule)
    adversarial.save(tmp_path)
    bare = SetContents.load(tmp_path)
    assert bare.record is None
    assert [row["name"] for row in bare.attacks] == ["gradient", "random-pgd"]
    assert sum(row["succeeded"] for row in bare.attacks) == len(adversarial)
    table = summarise(runs, rule)
    SetRecord.of(
        adversarial,
        table,
        rule,
        dataset="digits",
        dataset_digest="0f",
        seed=7,
        images_per_version=6,
    ).save(tmp_path)
    whole = SetContents.load(tmp_path)
    assert whole.attacks == [row.to_json() for row in table]
    for known, guessed in zip(whole.attacks, bare.attacks, strict=True):
        for name in MEDIANS:
            assert guessed[f"median_{name}"] == pytest.approx(known[f"median_{name}"])
    values = whole.to_json()
    assert json.loads(json.dumps(values)) == values
    assert (values["size"], values["dataset"]) == (len(adversarial), "digits")
    assert bare.to_json()["dataset"] is None
