"""Judgements and evidence in the form that continuous integration reads: JUnit's XML.

The elements are those that its readers agree on: ``testsuites``, ``testsuite`` and ``testcase``,
with a ``failure`` where a requirement failed, ``skipped`` for what was not evaluated, and ``error``
for work that failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from nversion.evidence.record import Evidence
from nversion.evidence.requirements import Judgement
from nversion.evidence.words import sentence, slice_of, with_interval

__all__ = ["evidence_to_junit", "to_junit"]


def to_junit(judgements: Sequence[Judgement], study: str) -> str:
    """Return judgements as JUnit XML.

    Args:
        judgements: each becomes a test case.
        study: the study's name, which the suite gets.
    """
    failed = sum(not one.passed for one in judgements)
    counts = {"tests": str(len(judgements)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "nversion gate", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": study, "skipped": "0", **counts})
    for one in judgements:
        wanted = str(one.requirement)
        case = _case(suite, f"nversion.gate.{study}", wanted)
        if not one.passed:
            failure = ElementTree.SubElement(
                case, "failure", {"type": "requirement", "message": f"found {one.reason}"}
            )
            failure.text = f"required {wanted}\nfound {one.reason}"
        else:
            ElementTree.SubElement(case, "system-out").text = f"found {one.reason}"
    return _text(root)


def evidence_to_junit(evidence: Evidence) -> str:
    """Return evidence as JUnit XML: a case for each metric, limit and failed unit of work.

    Nothing is required, so no case fails: what was measured passes, what was not is skipped.
    """
    limits = [limit for limit in evidence.limits if limit.status == "not evaluated"]
    without = [metric for metric in evidence.metrics if metric.value is None]
    counts = {
        "tests": str(len(evidence.metrics) + len(limits) + len(evidence.failures)),
        "failures": "0",
        "errors": str(len(evidence.failures)),
        "skipped": str(len(limits) + len(without)),
    }
    root = ElementTree.Element("testsuites", {"name": "nversion evidence", **counts})
    name = evidence.study.name
    suite = ElementTree.SubElement(root, "testsuite", {"name": name, **counts})
    for metric in evidence.metrics:
        title = f"{metric.subject}: {metric.name} ({metric.method})"
        case = _case(suite, f"nversion.evidence.{metric.property}", title)
        if metric.value is None:
            ElementTree.SubElement(case, "skipped", {"message": f"no value: {slice_of(metric)}"})
        else:
            out = f"{with_interval(metric)}\n{sentence(metric)}\n{slice_of(metric)}"
            ElementTree.SubElement(case, "system-out").text = out
    for limit in limits:
        case = _case(suite, "nversion.evidence.limits", limit.what)
        ElementTree.SubElement(case, "skipped", {"message": limit.reason})
    for failure in evidence.failures:
        case = _case(suite, "nversion.evidence.failures", failure.partition(":")[0])
        ElementTree.SubElement(case, "error", {"type": "unit", "message": failure})
    return _text(root)


def _case(suite: ElementTree.Element, kind: str, name: str) -> ElementTree.Element:
    return ElementTree.SubElement(suite, "testcase", {"classname": kind, "name": name, "time": "0"})


def _text(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
