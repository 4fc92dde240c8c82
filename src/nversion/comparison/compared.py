"""Several studies as one value: settings that differ, numbers side by side, verdicts."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nversion.comparison.differences import Difference, difference
from nversion.errors import InputError
from nversion.evidence.gather import metrics_of
from nversion.evidence.record import Metric
from nversion.evidence.whole import whole_of
from nversion.norms import norm_name
from nversion.study.finished import FinishedStudy

__all__ = ["ABSENT", "Compared", "NumberRow", "SettingRow", "VerdictRow", "compare"]

ABSENT = "\u2013"
"""What stands where a study has no such setting, number or verdict."""

FACTS = (
    "dataset",
    "train_images",
    "test_images",
    "nversion",
    "torch",
    "python",
    "commit",
    "device",
)
"""What of a run is compared beside its settings."""


@dataclass(frozen=True)
class SettingRow:
    """A setting that differs.

    Attributes:
        key: its dotted name.
        values: in words, one for each study.
    """

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class NumberRow:
    """One number of all studies.

    Attributes:
        subject: what it is of.
        name: what it is.
        method: the attacker or the certificate that it is about, and the attack if it is one.
        metrics: one for each study; None where it has no such number.
        differences: of each further study less the first; None where one of both is missing.
    """

    subject: str
    name: str
    method: str
    metrics: tuple[Metric | None, ...]
    differences: tuple[Difference | None, ...]


@dataclass(frozen=True)
class VerdictRow:
    """A verdict of all studies.

    Attributes:
        name: what was judged.
        verdicts: one for each study, in a word or a sentence.
        changed: whether two studies judge otherwise, numbers in the words aside; a study that does
            not judge it changes nothing.
    """

    name: str
    verdicts: tuple[str, ...]
    changed: bool


@dataclass(frozen=True)
class Compared:
    """Studies side by side.

    Attributes:
        names: of the studies, in the order that they were given; each is unique.
        settings: those that differ.
        numbers: all headline numbers: those of single versions are left out.
        verdicts: all, those that changed first.
    """

    names: tuple[str, ...]
    settings: tuple[SettingRow, ...]
    numbers: tuple[NumberRow, ...]
    verdicts: tuple[VerdictRow, ...]

    @property
    def changed(self) -> tuple[VerdictRow, ...]:
        """The verdicts that changed."""
        return tuple(row for row in self.verdicts if row.changed)

    def to_json(self) -> dict[str, Any]:
        """Return the comparison as JSON values."""
        numbers = [
            {
                "subject": row.subject,
                "name": row.name,
                "method": row.method,
                "metrics": [None if one is None else one.to_json() for one in row.metrics],
                "differences": [
                    None if one is None else {**dataclasses.asdict(one), "clear": one.clear}
                    for one in row.differences
                ],
            }
            for row in self.numbers
        ]
        return {
            "studies": list(self.names),
            "settings": [dataclasses.asdict(row) for row in self.settings],
            "numbers": numbers,
            "verdicts": [dataclasses.asdict(row) for row in self.verdicts],
        }


def compare(studies: Mapping[str, FinishedStudy]) -> Compared:
    """Return studies side by side.

    Args:
        studies: by what each is to be called; the first is what the others differ from.

    Raises:
        InputError: there are fewer than two.
    """
    if len(studies) < 2:
        raise InputError(f"a comparison takes two studies or more, not {len(studies)}")
    found = list(studies.values())
    return Compared(
        tuple(studies),
        tuple(_settings(found)),
        tuple(_numbers(found)),
        tuple(sorted(_verdicts(found), key=lambda row: not row.changed)),
    )


def _settings(studies: Sequence[FinishedStudy]) -> Iterator[SettingRow]:
    flat = [_flat(study.results.study.config or {}) for study in studies]
    for values, study in zip(flat, studies, strict=True):
        facts = study.results.study
        values |= {f"(run) {name}": _words(getattr(facts, name)) for name in FACTS}
    for key in dict.fromkeys(key for values in flat for key in values):
        row = tuple(values.get(key, ABSENT) for values in flat)
        if len(set(row)) > 1:
            yield SettingRow(key, row)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested values by dotted keys, in words."""
    found: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = _words(value)
    return found


def _words(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ABSENT
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _numbers(studies: Sequence[FinishedStudy]) -> Iterator[NumberRow]:
    tables = [_headlines(study) for study in studies]
    for key in dict.fromkeys(key for table in tables for key in table):
        metrics = tuple(table.get(key) for table in tables)
        known = next(metric for metric in metrics if metric is not None)
        first, *others = metrics
        yield NumberRow(
            known.subject,
            known.name,
            _how(known),
            metrics,
            tuple(
                None if first is None or other is None else difference(first, other)
                for other in others
            ),
        )


def _how(metric: Metric) -> str:
    """Return what tells a number from others of its name: the threat model, and one attack."""
    one = [metric.method] if metric.subject == "versions" and " " not in metric.method else []
    return ", ".join([*([metric.threat] if metric.threat else []), *one])


def _headlines(study: FinishedStudy) -> dict[tuple[str, ...], Metric]:
    """Return the numbers that are not of one version, by what makes them the same number."""
    single = {version.name for version in study.results.versions}
    whole = whole_of(study).get("subjects") or []
    single |= {one.get("name") for one in whole if one.get("kind") == "version"}
    return {
        (metric.key or "", metric.subject, metric.name, metric.threat or ""): metric
        for metric, _ in metrics_of(study)
        if metric.subject not in single or metric.subject in ("baseline", "student")
    }


def _verdicts(studies: Sequence[FinishedStudy]) -> Iterator[VerdictRow]:
    tables = [dict(_verdicts_of(study)) for study in studies]
    for name in dict.fromkeys(name for table in tables for name in table):
        verdicts = tuple(table.get(name, ABSENT) for table in tables)
        said = {_judgement(verdict) for verdict in verdicts if verdict != ABSENT}
        yield VerdictRow(name, verdicts, len(said) > 1)


def _verdicts_of(study: FinishedStudy) -> Iterator[tuple[str, str]]:
    for row in study.results.distillation.comparison or []:
        yield f"student against baseline: {row.name}", row.verdict
    for gain in whole_of(study).get("gains") or []:
        name, norm = gain.get("name") or gain.get("kind"), norm_name(gain.get("norm")).capitalize()
        yield f"program attacked itself, {norm}, against {name}", str(gain.get("verdict"))
    for asked in study.results.questions:
        if asked.question and asked.answer:
            yield asked.question, asked.answer


def _judgement(verdict: str) -> str:
    """Return what a verdict says, without the numbers that it says it of."""
    return re.sub(r"[\d.,%]+", "#", verdict.partition(":")[0])
