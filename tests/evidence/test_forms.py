"""Each form of evidence, read by a schema or a parser that is not ours."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import junitparser
import pytest
import verocase
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from markdown_it import MarkdownIt
from spdx_python_model import v3_0_1 as spdx

from nversion.evidence.forms import FORMS
from nversion.evidence.record import Evidence


def _metrics_of(component: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = component["modelCard"]["quantitativeAnalysis"][
        "performanceMetrics"
    ]
    return found


def test_cyclonedx_keeps_to_its_schema(evidence: Evidence) -> None:
    text = FORMS["cyclonedx"](evidence)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    card = bom["metadata"]["component"]["modelCard"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0]["value"] == "0.9"
    assert set(metrics[0]["confidenceInterval"]) == {"lowerBound", "upperBound"}
    assert any("not evaluated" in one for one in card["considerations"]["technicalLimitations"])
    shown = [metrics, *(_metrics_of(one) for one in bom["components"] if "modelCard" in one)]
    told = {(one["slice"].partition(";")[0], one["type"]) for each in shown for one in each}
    assert told == {(one.subject, one.name) for one in evidence.metrics}
    refs = [one["bom-ref"] for one in bom["components"]]
    assert len(set(refs)) == len(refs)
    assert set(bom["dependencies"][0]["dependsOn"]) <= set(refs)
    hashes = [one["hashes"][0]["content"] for one in bom["components"] if "hashes" in one]
    assert hashes == [one.weights_sha256 for one in evidence.networks if one.weights_sha256]


def test_a_cyclonedx_bill_that_breaks_its_schema_is_noticed(evidence: Evidence) -> None:
    bom = json.loads(FORMS["cyclonedx"](evidence))
    bom["metadata"]["component"]["modelCard"]["quantitativeAnalysis"]["performanceMetrics"][0][
        "value"
    ] = 0.9
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bom)) is not None


def test_spdx_is_read_by_its_model(evidence: Evidence) -> None:
    found = spdx.SHACLObjectSet()
    spdx.JSONLDDeserializer().read(io.BytesIO(FORMS["spdx"](evidence).encode()), found)
    assert not found.missing_ids
    packages = [one for one in found.objects if isinstance(one, spdx.ai_AIPackage)]
    assert len(packages) == 1 + len(evidence.networks)
    hashes = {one.verifiedUsing[0].hashValue for one in packages if one.verifiedUsing}
    assert hashes == {one.weights_sha256 for one in evidence.networks} - {None}
    (program,) = (one for one in packages if one.name == evidence.study.name)
    assert len(program.ai_metric) == len({str(entry.key) for entry in program.ai_metric})
    (document,) = (one for one in found.objects if isinstance(one, spdx.SpdxDocument))
    assert list(document.rootElement) == [program]


def read_card(evidence: Evidence) -> tuple[dict[str, Any], str]:
    _, front, page = FORMS["modelcard"](evidence).split("---\n", 2)
    return yaml.safe_load(front), page


def test_the_model_card_has_front_matter_in_yaml(evidence: Evidence) -> None:
    front, _ = read_card(evidence)
    (index,) = front["model-index"]
    assert index["name"] == evidence.study.name
    (result,) = index["results"]
    assert [one["value"] for one in result["metrics"]] == [0.9, 0.75]
    assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test"}


@pytest.mark.parametrize("value", [1e-05, 1e22, 0.1, -2.5e-07])
def test_small_numbers_stay_numbers_in_yaml(evidence: Evidence, value: float) -> None:
    metrics = [evidence.metrics[0].model_copy(update={"value": value})]
    front, _ = read_card(evidence.model_copy(update={"metrics": metrics}))
    assert front["model-index"][0]["results"][0]["metrics"][0]["value"] == value


def test_the_model_card_shows_names_as_text(evidence: Evidence) -> None:
    _, page = read_card(evidence)
    tokens = MarkdownIt("commonmark").enable("table").parse(page)
    kinds = {child.type for token in tokens for child in token.children or []}
    assert kinds <= {"text", "code_inline", "text_special", "softbreak"}
    rows = sum(token.type == "tr_open" for token in tokens)
    assert rows == 5 + len(evidence.metrics) + len(evidence.threat_models) + len(
        evidence.limits
    ) + len(evidence.networks) + len(evidence.environment.to_json())


def test_the_assurance_case_is_read_without_a_warning(
    evidence: Evidence, capsys: pytest.CaptureFixture[str]
) -> None:
    case = verocase.Case().load_ltac_string(FORMS["ltac"](evidence))
    case.validate_ltac()
    assert not case.had_error
    assert capsys.readouterr().err == ""
    nodes = [node for (node,) in case.all_definitions_for.values()]
    measured = [one for one in evidence.metrics if one.value is not None]
    proofs = [node for node in nodes if node.node_type == "Evidence"]
    assert len(proofs) == len(measured)
    assert {node.ext_ref.partition("#")[0] for node in proofs} == {"results.json"}
    open_claims = [node for node in nodes if node.options == ["needssupport"]]
    assert len(open_claims) == len(evidence.limits)


def test_junit_has_metrics_limits_and_failures(evidence: Evidence, tmp_path: Path) -> None:
    (tmp_path / "evidence.xml").write_text(FORMS["junit"](evidence), "utf-8")
    read = junitparser.JUnitXml.fromfile(str(tmp_path / "evidence.xml"))
    (suite,) = read
    cases = list(suite)
    assert suite.tests == len(cases)
    assert (suite.errors, suite.failures) == (1, 0)
    assert suite.skipped == sum(case.is_skipped for case in cases)
    assert suite.name == evidence.study.name.replace("\u2028", "\u2028")


@pytest.mark.parametrize("form", sorted(FORMS))
def test_the_same_evidence_gives_the_same_bytes(evidence: Evidence, form: str) -> None:
    assert FORMS[form](evidence) == FORMS[form](evidence)
