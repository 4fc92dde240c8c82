"""The table of attacks: how often each succeeds, by how little, and whether it is in the set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from nversion.adversarial.intervals import wilson_of_share
from nversion.adversarial.perceptibility import Medians, PerceptibilityRule
from nversion.adversarial.runs import AttackRun
from nversion.errors import InputError

__all__ = ["AttackSummary", "AttackTally", "summarise"]


@dataclasses.dataclass(frozen=True)
class AttackSummary:
    """One row of the table: an attack over all versions.

    Attributes:
        name: the attack's name.
        norm: the distance it makes small.
        tried: images attacked that were classified correctly before.
        succeeded: those it made adversarial.
        already_misclassified: images that were wrong before; counted neither as tried nor as
            succeeded.
        effectiveness: succeeded / tried; None if none was tried.
        test_images: different test images among those tried; versions may share them.
        effectiveness_low: lower end of the 95 % Wilson interval of as many tries as there are
            different test images.
        effectiveness_high: upper end.
        medians: over the successful images; None if there are none.
        seconds: wall time, all versions together.
        in_adversarial_set: whether the perceptibility rule keeps it.
        reason: why, or why not.
    """

    name: str
    norm: str
    tried: int
    succeeded: int
    already_misclassified: int
    effectiveness: float | None
    test_images: int
    effectiveness_low: float
    effectiveness_high: float
    medians: Medians | None
    seconds: float
    in_adversarial_set: bool
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the row as in ``results.json``: medians flat, ``reason`` only if left out."""
        row = dataclasses.asdict(self)
        del row["medians"]
        for field in dataclasses.fields(Medians):
            row[f"median_{field.name}"] = self.medians and getattr(self.medians, field.name)
        row["reason"] = None if self.in_adversarial_set else self.reason
        return row

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> AttackSummary:
        """Return the row that :meth:`to_json` gave; the reason to keep an attack is not kept."""
        medians = {f.name: row[f"median_{f.name}"] for f in dataclasses.fields(Medians)}
        others = {f.name: row[f.name] for f in dataclasses.fields(cls) if f.name != "medians"}
        known = Medians(**medians) if row["median_l2"] is not None else None
        return cls(**{**others, "reason": row["reason"] or ""}, medians=known)


class AttackTally:
    """Adds up attack runs one after the other; keeps of each what the table needs, no images.

    Attributes:
        versions: the attacked versions, in the order in which they first appear.
        options: each attack's options, attacks in the order in which they first appear.
    """

    def __init__(self) -> None:
        self.versions: dict[str, None] = {}
        self.options: dict[str, Mapping[str, Any]] = {}
        self._attacks: dict[str, _Counts] = {}
        self._shape: tuple[int, ...] | None = None

    def add(self, run: AttackRun) -> None:
        """Add a run.

        Raises:
            InputError: the attack ran on that version before, or with other options elsewhere, or
                its images have another shape than those before.
        """
        self._shape = self._shape or tuple(run.images.shape[1:])
        counts = self._attacks.setdefault(run.attack, _Counts(run))
        if run.version in counts.versions:
            raise InputError(f"{run.attack} ran twice on {run.version}; keep one of the runs")
        if (run.options, run.norm) != (counts.options, counts.norm):
            raise InputError(
                f"{run.attack} ran with other options on {run.version} than on {counts.first}; "
                "its results cannot be put together"
            )
        if tuple(run.images.shape[1:]) != self._shape:
            raise InputError(
                f"the images of {run.attack} on {run.version} are {list(run.images.shape[1:])}, "
                f"others {list(self._shape)}"
            )
        counts.add(run)
        self.versions[run.version] = None
        self.options[run.attack] = run.options

    def rows(self, rule: PerceptibilityRule | None = None) -> list[AttackSummary]:
        """Return one row for each attack, in the order in which attacks first appear.

        Args:
            rule: which attacks are in the adversarial set; by default :class:`PerceptibilityRule`.
        """
        values = math.prod(self._shape or ())
        chosen = rule or PerceptibilityRule()
        return [counts.row(name, chosen, values) for name, counts in self._attacks.items()]


def summarise(
    runs: Iterable[AttackRun], rule: PerceptibilityRule | None = None
) -> list[AttackSummary]:
    """Return one row for each attack, in the order in which attacks first appear in `runs`.

    Args:
        runs: any number of versions and attacks; each is looked at once.
        rule: which attacks are in the adversarial set; by default :class:`PerceptibilityRule`.

    Raises:
        InputError: runs that do not go together (see :meth:`AttackTally.add`).
    """
    tally = AttackTally()
    for run in runs:
        tally.add(run)
    return tally.rows(rule)


class _Counts:
    """What is known of one attack so far."""

    def __init__(self, first: AttackRun) -> None:
        self.first, self.norm, self.options = first.version, first.norm, first.options
        self.versions: set[str] = set()
        self.seconds: list[float] = []
        self.tried = self.succeeded = self.misclassified = 0
        self.test_images: set[int] = set()
        self.distances: dict[str, list[npt.NDArray[np.float32]]] = {
            name: [] for name in ("l0", "l1", "l2", "linf", "ssim")
        }

    def add(self, run: AttackRun) -> None:
        self.versions.add(run.version)
        self.seconds.append(run.seconds)
        wrong = int(run.already_misclassified.sum())
        self.misclassified += wrong
        self.tried += len(run) - wrong
        self.test_images.update(run.test_indices[~run.already_misclassified].tolist())
        self.succeeded += int(run.success.sum())
        for name, columns in self.distances.items():
            columns.append(getattr(run, name)[run.success].numpy())

    def row(self, name: str, rule: PerceptibilityRule, values_per_image: int) -> AttackSummary:
        share = self.succeeded / self.tried if self.tried else None
        low, high = wilson_of_share(share or 0.0, len(self.test_images))
        medians = self._medians(values_per_image) if self.succeeded else None
        kept, reason = rule.decide(medians)
        return AttackSummary(
            name=name,
            norm=self.norm,
            tried=self.tried,
            succeeded=self.succeeded,
            already_misclassified=self.misclassified,
            effectiveness=share,
            test_images=len(self.test_images),
            effectiveness_low=low,
            effectiveness_high=high,
            medians=medians,
            seconds=math.fsum(self.seconds),
            in_adversarial_set=kept,
            reason=reason,
        )

    def _medians(self, values_per_image: int) -> Medians:
        found = {
            name: float(np.median(np.concatenate(columns).astype(np.float64)))
            for name, columns in self.distances.items()
        }
        return Medians(**found, rms=found["l2"] / math.sqrt(values_per_image))
