"""What a replication came to: means of every arm, contrasts, and a sentence that they bear."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nversion.files import read_object, write_json
from nversion.randomness import numpy_generator
from nversion.replication.attribution import attribute
from nversion.replication.contrasts import (
    ROWS,
    Contrast,
    Mean,
    contrast,
    fewest_pairs,
    mean_of,
)
from nversion.replication.questions import MEANINGS, questions
from nversion.replication.settings import Settings

__all__ = ["Replication", "say", "summarise"]

Networks = Mapping[str, Mapping[int, Mapping[str, float]]]


@dataclasses.dataclass(frozen=True)
class Replication:
    """All numbers of a replication.

    Attributes:
        settings: what was trained and measured, as JSON values.
        versions: names of the teacher's versions.
        networks: rows by arm and repeat.
        means: by arm and row.
        contrasts: every other arm against the baseline, and students against the controls.
        diverged: networks that did not learn, with what was said.
        failures: networks that failed otherwise.
    """

    settings: Mapping[str, Any]
    versions: Sequence[str]
    networks: Networks
    means: Mapping[str, Mapping[str, Mean]]
    contrasts: Sequence[Contrast]
    diverged: Sequence[str]
    failures: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **dataclasses.asdict(self),
            "versions": list(self.versions),
            "failures": list(self.failures),
            "networks": {
                arm: {str(repeat): dict(rows) for repeat, rows in networks.items()}
                for arm, networks in self.networks.items()
            },
            "sentences": [*say(self.contrasts), *attribute(self.contrasts)],
        }

    def save(self, path: Path) -> None:
        """Write it as JSON."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> Replication:
        """Read what :meth:`save` wrote.

        Raises:
            ArtefactError: the file is damaged.
        """
        values = read_object(path)
        return cls(
            values["settings"],
            values["versions"],
            {
                arm: {int(repeat): rows for repeat, rows in networks.items()}
                for arm, networks in values["networks"].items()
            },
            {
                arm: {row: Mean(**mean) for row, mean in means.items()}
                for arm, means in values["means"].items()
            },
            [Contrast(**item) for item in values["contrasts"]],
            values["diverged"],
            values["failures"],
        )


def summarise(
    settings: Settings,
    versions: Sequence[str],
    found: Sequence[Mapping[str, Any]],
    failures: Sequence[str] = (),
) -> Replication:
    """Sum up what networks' files say.

    Args:
        settings: of the replication.
        versions: names of the teacher's versions.
        found: the files' contents.
        failures: of networks without a file.
    """
    networks: dict[str, dict[int, Mapping[str, float]]] = {arm.name: {} for arm in settings.arms}
    diverged = []
    for facts in found:
        if "rows" in facts:
            networks[facts["arm"]][int(facts["repeat"])] = facts["rows"]
        else:
            diverged.append(f"{facts['arm']}, repeat {facts['repeat']}: {facts['error']}")
    means = {
        arm: {
            row: mean_of(values, numpy_generator(settings.seed, "mean", arm, row))
            for row in ROWS
            if (values := [rows[row] for _, rows in sorted(by.items()) if row in rows])
        }
        for arm, by in networks.items()
    }
    contrasts: list[Contrast] = []
    for first, second in questions(list(networks)):
        draws = numpy_generator(settings.seed, "contrast", first, second)
        contrasts += contrast((first, networks[first]), (second, networks[second]), draws)
    return Replication(
        settings.to_json(), tuple(versions), networks, means, contrasts, diverged, tuple(failures)
    )


def say(contrasts: Sequence[Contrast]) -> list[str]:
    """Return one sentence for every two arms: in which rows they differ, by the corrected test."""
    sides = dict.fromkeys((item.first, item.second) for item in contrasts)
    return [
        _said([item for item in contrasts if (item.first, item.second) == two]) for two in sides
    ]


def _said(rows: Sequence[Contrast]) -> str:
    """Return the sentence on all rows of the same two arms."""
    first, second = rows[0].first, rows[0].second
    meaning = MEANINGS.get((first, second), "")
    whose = f"{meaning} ({first} against {second})" if meaning else f"{first} against {second}"
    pairs = max(item.pairs for item in rows)
    least = fewest_pairs(len(rows))
    counted = f"{pairs} {'pair' if pairs == 1 else 'pairs'}"
    if pairs < least:
        return f"{whose}: {counted}, too few for a test in {len(rows)} rows (at least {least})."
    said = {
        "better": "better in",
        "worse": "worse in",
        "level": "not told apart in",
        "too few": "too few pairs for a test in",
    }
    parts = [
        f"{words} {', '.join(names)}"
        for verdict, words in said.items()
        if (names := [ROWS[item.row] for item in rows if item.verdict == verdict])
    ]
    return f"{whose}, {counted}: {'; '.join(parts)}."
