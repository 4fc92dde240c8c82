"""What an adversarial set holds, in numbers: how many images, of which versions and attacks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from nversion.adversarial.adversarial_set import AdversarialSet
from nversion.adversarial.record import SetRecord

__all__ = ["MEDIANS", "SetContents"]

MEDIANS = ("l0", "l1", "l2", "linf", "ssim")
"""What the table of attacks has the medians of."""


@dataclasses.dataclass(frozen=True)
class SetContents:
    """A set and, if it has one, its record.

    Attributes:
        adversarial: the set.
        record: how it came about; None for a set without a record.
    """

    adversarial: AdversarialSet
    record: SetRecord | None

    @classmethod
    def load(cls, folder: Path) -> SetContents:
        """Read the set in a folder.

        Raises:
            ArtefactError: the set or its record cannot be read, or they do not belong together.
        """
        adversarial = AdversarialSet.load(folder)
        return cls(adversarial, SetRecord.load(folder, adversarial))

    @property
    def attacks(self) -> list[dict[str, Any]]:
        """The table of attacks; without a record, as much of it as the images tell."""
        if self.record is not None:
            return self.record.attacks
        return [self._row(place, name) for place, name in enumerate(self.adversarial.attacks)]

    def to_json(self) -> dict[str, Any]:
        """Return all of it as JSON values; null where only a record would tell."""
        adversarial, record = self.adversarial, self.record
        return {
            "size": len(adversarial),
            "source_images": adversarial.source_images,
            "shape": list(adversarial.images.shape[1:]),
            "storable": adversarial.storable,
            "digest": adversarial.digest,
            "dataset": record and record.dataset,
            "seed": record and record.seed,
            "images_per_version": record and record.images_per_version,
            "perceptibility_rule": record and record.perceptibility_rule,
            "per_version": adversarial.per_version,
            "per_attack": adversarial.per_attack,
            "options": {name: dict(adversarial.options[name]) for name in adversarial.attacks},
            "attacks": self.attacks,
        }

    def _row(self, place: int, name: str) -> dict[str, Any]:
        own = self.adversarial.select(self.adversarial.attack_ids == place)
        medians = {
            f"median_{key}": float(getattr(own, key).double().quantile(0.5)) if len(own) else None
            for key in MEDIANS
        }
        return {"name": name, "succeeded": len(own), **medians, "in_adversarial_set": True}
