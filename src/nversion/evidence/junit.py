"""Judgements in the form that continuous integration reads: JUnit's XML.

The elements are those that its readers agree on: ``testsuites``, ``testsuite`` and ``testcase``,
with a ``failure`` where a requirement failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

from nversion.evidence.requirements import Judgement

__all__ = ["to_junit"]


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
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": f"nversion.gate.{study}", "name": wanted, "time": "0"},
        )
        if not one.passed:
            failure = ElementTree.SubElement(
                case, "failure", {"type": "requirement", "message": f"found {one.reason}"}
            )
            failure.text = f"required {wanted}\nfound {one.reason}"
        else:
            ElementTree.SubElement(case, "system-out").text = f"found {one.reason}"
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
