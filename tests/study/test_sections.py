"""results.json: its type, the published form of it, and files of older versions."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from nversion.errors import ArtefactError
from nversion.replication.contrasts import Contrast, Mean
from nversion.replication.costs import Cost
from nversion.study import Results, make_config, run_study
from nversion.study.sections import (
    NetworkCost,
    Program,
    RadiiSummary,
    ReplicatedContrast,
    ReplicatedMean,
    Section,
)
from nversion.study.sections.reference import page, schema

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = sorted((ROOT / "docs" / "results").glob("*/results.json"))


@pytest.fixture(scope="module")
def study(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Results, Any]:
    """The results of a study, and what it wrote."""
    folder = tmp_path_factory.mktemp("sections") / "study"
    results = run_study(make_config(tiny), folder)
    return results, json.loads((folder / "results.json").read_text("utf-8"))


def test_the_published_form_is_that_of_the_sections() -> None:
    reference = ROOT / "docs" / "reference"
    assert (reference / "results.md").read_text("utf-8") == page()
    assert json.loads((reference / "results.schema.json").read_text("utf-8")) == schema()


@pytest.mark.parametrize(
    ("section", "value"),
    [(ReplicatedContrast, Contrast), (ReplicatedMean, Mean), (NetworkCost, Cost)],
)
def test_a_replication_is_read_with_all_that_is_written(
    section: type[Section], value: type[Any]
) -> None:
    assert list(section.model_fields) == [field.name for field in dataclasses.fields(value)]


def test_every_key_is_described() -> None:
    described = schema()
    for name, part in {"Results": described, **described["$defs"]}.items():
        assert part["description"], name
        for key, entry in part["properties"].items():
            assert entry["description"], f"{name}.{key}"


def test_a_study_keeps_to_the_published_form(study: tuple[Results, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(study[1], schema())


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_studies_of_older_versions_are_read_without_loss(path: Path) -> None:
    values = json.loads(path.read_text("utf-8"))
    jsonschema.validate(values, schema())
    assert Results.of(values, path).to_json() == values


def test_a_study_is_read_as_it_was_written(study: tuple[Results, Any]) -> None:
    results, written = study
    again = Results.of(written)
    assert again == results
    assert json.dumps(again.to_json()) == json.dumps(written)


def test_every_key_of_a_study_is_listed(study: tuple[Results, Any]) -> None:
    listed = schema()

    def check(value: Any, form: dict[str, Any], place: str) -> None:
        form = form["anyOf"][0] if "anyOf" in form else form
        if "$ref" in form:
            form = listed["$defs"][form["$ref"].rpartition("/")[2]]
        if isinstance(value, list):
            for item in value:
                check(item, form["items"], place)
        elif isinstance(value, dict) and "properties" in form:
            assert not set(value) - set(form["properties"]), place
            for key, item in value.items():
                check(item, form["properties"][key], f"{place}.{key}")
        elif isinstance(value, dict) and isinstance(form.get("additionalProperties"), dict):
            for key, item in value.items():
                check(item, form["additionalProperties"], f"{place}.{key}")

    check(study[1], listed, "results")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"program": {"accuracy": "0.9"}}, r"program\.accuracy: must be a valid number, not '0.9'"),
        ({"program": {"accuracy": True}}, r"program\.accuracy: must be a valid number, not True"),
        ({"versions": [{"parameters": 1.5}]}, r"versions\.0\.parameters: must be a valid integer"),
        ({"attacks": {"gradient": 1}}, r"attacks: must be a valid list"),
        ({"study": {"seed": None, "name": 7}}, r"study\.name: must be a valid string, not 7"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(values: dict[str, Any], said: str) -> None:
    made = {"nversion": "0.0.9", **values.get("study", {})}
    with pytest.raises(ArtefactError, match=rf"old\.json: {said}") as error:
        Results.of({**values, "study": made}, "old.json")
    assert re.search(
        r"old\.json: made by nversion 0\.0\.9, .* run the study again", str(error.value)
    )


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ArtefactError, match=r"x\.json: must be a JSON object, not a list"):
        Results.of([], "x.json")  # type: ignore[arg-type]


def test_unknown_keys_are_passed_over_and_missing_ones_are_missing() -> None:
    results = Results.of({"program": {"accuracy": 0.5, "colour": "red"}, "later": 1})
    assert results.to_json() == {"program": {"accuracy": 0.5}}
    assert results.distillation.student.adversarial_accuracy is None
    assert (results.versions, results.example, results.compared) == ([], None, False)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_are_finite(number: float) -> None:
    with pytest.raises(ValidationError):
        Program(accuracy=number)
    with pytest.raises(ValidationError):
        RadiiSummary(radii=[number])


def test_text_can_be_written_to_a_file() -> None:
    assert Results.of({"study": {"name": "a\ud800\x1b\n"}}).study.name == "a\ufffd\ufffd\n"
