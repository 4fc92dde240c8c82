"""How an adversarial set came about: a small JSON file beside it, for people and for the report.

The set says where each of its images comes from. What it cannot say is what is *not* in it: which
attacks were left out and why, how often each was tried, by which rule. That is in its record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nversion.adversarial.adversarial_set import AdversarialSet
from nversion.adversarial.perceptibility import PerceptibilityRule
from nversion.adversarial.summary import AttackSummary
from nversion.errors import ArtefactError
from nversion.files import read_object, write_json
from nversion.reading import check_name, checked, printable

__all__ = ["SetRecord"]

RECORD_FILE = "record.json"

FORMAT = 1


@dataclasses.dataclass(frozen=True)
class SetRecord:
    """What is known of how an adversarial set was built; all of it JSON values.

    Attributes:
        set_digest: SHA-256 of the set that it belongs to.
        dataset: the dataset's name.
        dataset_digest: SHA-256 of the dataset's content.
        seed: what the images were drawn and the attacks were called with.
        images_per_version: how many images were attacked on each version, at the most.
        perceptibility_rule: the rule that decided which attacks are in, as a sentence.
        attacks: the table of attacks, one row each (:meth:`AttackSummary.to_json`).
    """

    set_digest: str
    dataset: str
    dataset_digest: str
    seed: int
    images_per_version: int
    perceptibility_rule: str
    attacks: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        adversarial: AdversarialSet,
        table: Sequence[AttackSummary],
        rule: PerceptibilityRule,
        *,
        dataset: str,
        dataset_digest: str,
        seed: int,
        images_per_version: int,
    ) -> SetRecord:
        """Return the record of a set that was built from attack runs by a rule."""
        return cls(
            set_digest=adversarial.digest,
            dataset=dataset,
            dataset_digest=dataset_digest,
            seed=seed,
            images_per_version=images_per_version,
            perceptibility_rule=rule.explain(),
            attacks=[row.to_json() for row in table],
        )

    def save(self, folder: Path) -> None:
        """Write the record beside the set, atomically."""
        write_json(folder / RECORD_FILE, {"format": FORMAT, **dataclasses.asdict(self)})

    @classmethod
    def load(cls, folder: Path, adversarial: AdversarialSet) -> SetRecord | None:
        """Read the record of the set in `folder`; None if it has none.

        Raises:
            ArtefactError: the record is damaged, or belongs to another set.
        """
        path = folder / RECORD_FILE
        if not path.is_file():
            return None
        values = read_object(path)
        if values.pop("format", None) != FORMAT:
            raise ArtefactError(f"{path}: not an adversarial set's record of format {FORMAT}")
        what = f"{path}: not an adversarial set's record"
        record = checked(cls, values, what)
        check_name(record.dataset, f"{path}: dataset")
        record = dataclasses.replace(
            record,
            perceptibility_rule=printable(record.perceptibility_rule),
            attacks=[_checked_row(row, what) for row in record.attacks],
        )
        if record.set_digest != adversarial.digest:
            raise ArtefactError(f"{path}: belongs to another set; build the set again")
        return record


def _checked_row(row: dict[str, Any], what: str) -> dict[str, Any]:
    """Return a row of the table of attacks, with every value that belongs to it and no other."""
    try:
        summary = AttackSummary.from_json(row)
    except KeyError as error:
        raise ArtefactError(f"{what}: attacks: a row lacks {error}") from error
    summary = checked(AttackSummary, dataclasses.asdict(summary), f"{what}: attacks")
    check_name(summary.name, f"{what}: attacks")
    return dataclasses.replace(summary, reason=printable(summary.reason)).to_json()
