"""Judgements as JUnit XML, read by a parser that is not ours."""

from __future__ import annotations

from pathlib import Path

import junitparser

from nversion.evidence import Requirement, judge
from nversion.evidence.junit import to_junit


def test_a_parser_reads_each_requirement_as_a_test(tmp_path: Path) -> None:
    values = {"program": {"accuracy": 0.75, "voter": '<&"\x1b'}}
    texts = ["program.accuracy>=0.5", "program.accuracy>0.75", "program.test_accuracy>0"]
    (tmp_path / "gate.xml").write_text(
        to_junit(judge(values, map(Requirement.parse, texts)), "<mine> & 'yours'"), "utf-8"
    )
    read = junitparser.JUnitXml.fromfile(str(tmp_path / "gate.xml"))
    (suite,) = read
    assert suite.name == "<mine> & 'yours'"
    assert (suite.tests, suite.failures, suite.errors) == (3, 2, 0)
    cases = list(suite)
    assert [case.name for case in cases] == [
        "program.accuracy >= 0.5",
        "program.accuracy > 0.75",
        "program.test_accuracy > 0",
    ]
    assert cases[0].is_passed
    assert cases[1].result[0].message == "found 0.75"
    assert "not measured" in cases[2].result[0].message
