"""Evidence as an assurance case in LTAC, the lightweight text form: claims, arguments, evidence.

The top claim is about what is known, not that it is enough: whether these numbers suffice is for
who uses the program to say, as claims under "needs support". The argument goes by properties of
ISO/IEC 24029-2 and, within them, by how they were found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from nversion.evidence.record import Evidence, Limit, Metric
from nversion.evidence.words import of_threat, sentence

__all__ = ["to_ltac"]

GROUPS = (
    ("performance", "statistical", "Performance is measured on images that nobody changed"),
    ("stability", "empirical", "Stability is bounded from above by attacks"),
    ("stability", "formal", "Stability is bounded from below by proofs"),
    ("diversity", "statistical", "Failures of the versions are counted together"),
)


def to_ltac(evidence: Evidence) -> str:
    """Return evidence as the text of an assurance case in LTAC."""
    return "\n".join(_lines(evidence)) + "\n"


def _lines(evidence: Evidence) -> Iterator[str]:
    study, program = evidence.study, evidence.program
    yield f"# Evidence of the study {_plain(study.name)}, made {evidence.made}"
    yield f"# by {_plain(evidence.made_by)} from results.json with SHA-256 {study.results_sha256}"
    yield _line(
        0,
        "Claim",
        "C0",
        f"What is known of the robustness of the program {study.name} is known by the methods, on "
        "the images and against the attackers that are named below",
    )
    voter = f"voter {program.voter}, ties: {program.tie_rule}"
    yield _line(1, "Context", "X1", f"The program is {len(program.versions)} networks, {voter}")
    data = f"{study.dataset}, {study.train_images} training and {study.test_images} test images"
    yield _line(1, "Context", "X2", f"The data are {data}, digest {study.dataset_digest}")
    yield _line(
        1,
        "Assumption",
        "A1",
        "The test images are drawn independently from those that the program will meet",
    )
    yield _line(1, "Strategy", "S0", "By properties of ISO/IEC 24029-2, and by how they were found")
    for place, (kind, approach, claim) in enumerate(GROUPS, start=1):
        found = [
            one
            for one in evidence.metrics
            if (one.property, one.approach) == (kind, approach) and one.value is not None
        ]
        if found:
            yield _line(2, "Claim", f"C{place}", claim)
            yield from _group(evidence, f"{place}", found)
    if evidence.limits:
        yield _line(1, "Strategy", "S1", "By what was left out, which who uses the program answers")
        for number, limit in enumerate(evidence.limits, start=1):
            yield _limit(number, limit)


def _group(evidence: Evidence, place: str, metrics: list[Metric]) -> Iterator[str]:
    """Yield the claims of one property and approach, attacker by attacker."""
    threats = {one.id: one for one in evidence.threat_models}
    for number, threat in enumerate(dict.fromkeys(one.threat for one in metrics), start=1):
        who = "Nobody changes the images" if threat is None else f"Against {threat}"
        yield _line(3, "Claim", f"C{place}.{number}", f"{who}, the numbers below are measured")
        if threat is not None:
            yield _line(
                4, "Context", f"X{place}.{number}", f"{threat}: {of_threat(threats[threat])}"
            )
        own = [one for one in metrics if one.threat == threat]
        for count, metric in enumerate(own, start=1):
            name = f"{place}.{number}.{count}"
            yield _line(4, "Claim", f"C{name}", sentence(metric))
            where = f"results.json#{metric.key}" if metric.key else "results.json"
            yield _line(5, "Evidence", f"E{name}", f"By {metric.method}", where)


def _limit(number: int, limit: Limit) -> str:
    text = f"{limit.status}: {limit.what}; {limit.reason}"
    return _line(2, "Claim", f"L{number}", text, options="{needssupport}")


def _line(depth: int, kind: str, name: str, text: str, ref: str = "", options: str = "") -> str:
    # What ends a statement in brackets would be read as a reference, unless one follows.
    ref = _plain(ref).replace("(", "%28").replace(")", "%29")
    end = f" ({ref})" if ref else "" if options else " ()"
    return f"{'  ' * depth}- {kind} {name}: {_plain(text)}{' ' if options else ''}{options}{end}"


def _plain(text: str) -> str:
    """Return text in one line, without the braces that are options in LTAC."""
    text = re.sub(r"\s+", " ", text).strip()
    return text.replace("{", "[").replace("}", "]")
