"""Evidence says what the results say: each number at its key, each limit where it is one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nversion.errors import ArtefactError
from nversion.evidence import found_at
from nversion.evidence.forms import FORMS
from nversion.evidence.gather import gather
from nversion.evidence.record import Evidence
from nversion.evidence.reference import page, schema
from nversion.study.finished import open_study

ROOT = Path(__file__).resolve().parents[2]


def test_the_published_form_is_that_of_the_type() -> None:
    reference = ROOT / "docs" / "reference"
    assert (reference / "evidence.md").read_text("utf-8") == page()
    assert json.loads((reference / "evidence.schema.json").read_text("utf-8")) == schema()


def test_every_key_is_described() -> None:
    described = schema()
    for name, part in {"Evidence": described, **described["$defs"]}.items():
        assert part["description"], name
        for key, entry in part["properties"].items():
            assert entry["description"], f"{name}.{key}"


def test_evidence_keeps_to_the_published_form(evidence: Evidence) -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    written = json.loads(FORMS["json"](evidence))
    jsonschema.validate(written, schema())
    assert Evidence.model_validate(written) == evidence


def test_each_metric_is_the_number_at_its_key(evidence: Evidence, study_folder: Path) -> None:
    values = open_study(study_folder).values
    assert len(evidence.metrics) == 25
    for metric in evidence.metrics:
        if metric.key is not None:
            assert found_at(values, metric.key) == metric.value, metric.key


def test_each_metric_names_a_threat_model_that_is_there(evidence: Evidence) -> None:
    known = {threat.id for threat in evidence.threat_models}
    named = {metric.threat for metric in evidence.metrics} - {None}
    assert named == known
    assert {one.threat for one in evidence.per_image} <= known
    untouched = {one.property for one in evidence.metrics if one.threat is None}
    assert untouched == {"performance", "diversity"}


def test_results_stand_image_by_image(evidence: Evidence) -> None:
    distances, _ = (one for one in evidence.per_image if one.quantity == "adversarial distance")
    assert (distances.test_indices, distances.numbers) == ([4, 1, 7], [0.0, 1.5, None])
    radii = [one for one in evidence.per_image if one.quantity == "certified radius"]
    assert {one.subject for one in radii} == {"baseline", "student", "program"}
    assert all(one.numbers[-1] is None and "infinite" in one.null_is for one in radii)


def test_networks_are_known_by_their_weights(evidence: Evidence) -> None:
    first, _, failed, baseline, _ = evidence.networks
    assert first.weights_sha256 == hashlib.sha256(b"student").hexdigest()
    assert (first.role, first.seed, first.recipe and first.recipe["name"]) == (
        *("version", 2**60, "small"),
    )
    assert (failed.status, failed.weights_sha256) == ("failed", None)
    assert (baseline.role, baseline.architecture) == ("baseline", "flatten\n")
    assert evidence.study.dataset_digest == "d" * 64


def test_weights_of_another_network_are_no_evidence(study_folder: Path) -> None:
    (study_folder / "versions" / "b.2" / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(ArtefactError, match=r"b\.2.*does not match its checksum"):
        gather(open_study(study_folder))


def test_versions_of_different_data_are_no_evidence(study_folder: Path) -> None:
    path = study_folder / "versions" / "b.2" / "record.json"
    record = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**record, "dataset_digest": "e" * 64}))
    with pytest.raises(ArtefactError, match="2 different datasets"):
        gather(open_study(study_folder))


def test_the_voter_and_its_tie_rule_are_named(evidence: Evidence) -> None:
    program = evidence.program
    assert (program.voter, program.tie_rule) == ("majority", "abstains")
    assert "where no class has" in str(program.abstention_rule)


def test_what_a_study_lacks_is_a_limit(
    evidence: Evidence, make_study: Callable[..., Path], tmp_path: Path
) -> None:
    def limits(one: Evidence) -> str:
        return "\n".join(f"{limit.status}: {limit.what}" for limit in one.limits)

    assert "attacked as a whole" not in limits(evidence)
    assert "in part: certified radii of the vote of all versions" in limits(evidence)
    assert "in part: which weights" in limits(evidence)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "results.json").write_text("{}")
    empty = gather(open_study(tmp_path / "empty"))
    assert "not evaluated: the program attacked as a whole" in limits(empty)
    assert "not evaluated: certified radii of the vote" in limits(empty)
    assert "not evaluated: coincident failures" in limits(empty)
    assert (empty.metrics, empty.per_image, empty.networks) == ([], [], [])
    for write in FORMS.values():
        assert write(empty)


def test_settings_that_change_nothing_do_not_count(study_folder: Path) -> None:
    before = gather(open_study(study_folder)).study.settings_sha256
    path = study_folder / "results.json"
    values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    values["study"]["config"]["run"] = {"workers": 7}
    path.write_text(json.dumps(values))
    assert gather(open_study(study_folder)).study.settings_sha256 == before
    values["study"]["config"]["seed"] = 4
    path.write_text(json.dumps(values))
    assert gather(open_study(study_folder)).study.settings_sha256 != before


@pytest.mark.parametrize("path", sorted((ROOT / "docs/results").glob("*/results.json")))
def test_published_studies_give_evidence(path: Path) -> None:
    found = gather(open_study(path.parent))
    assert found.metrics
    assert all(one.weights_sha256 is None for one in found.networks)
    for write in FORMS.values():
        assert write(found)
