"""Attack a vote itself on some test images."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from nversion.attacks.votes import attack_program, house_attacks
from nversion.device import deterministic
from nversion.files import write_tensors
from nversion.study.units.of_vote import UnitOfVote

__all__ = ["AttackWhole"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class AttackWhole(UnitOfVote):
    """Write the smallest changes found that make a vote fall, on some test images.

    Attributes:
        seed: of the attacks.
    """

    seed: int

    def run(self) -> None:
        """Attack it."""
        program, images, labels = self.opened()
        started = time.perf_counter()
        with deterministic(self.device):
            found = attack_program(program, images, labels, self.norm, seed=self.seed)
        seconds = time.perf_counter() - started
        distances = {"2": found.l2, "inf": found.linf}[self.norm]
        tensors = {"distances": distances.masked_fill(found.already_misclassified, 0.0)}
        if found.wrong is not None:
            wrong = {"2": found.wrong.l2, "inf": found.wrong.linf}[self.norm]
            # An abstention before any attack is no wrong verdict yet; what it takes is not known.
            tensors["wrong"] = wrong.masked_fill(found.already_misclassified, 0.0)
        facts = {
            "attack": list(found.attack),
            "forwards": found.forwards,
            "backwards": found.backwards,
            "seconds": seconds,
        }
        write_tensors(self.path, tensors, facts)

    def inputs(self) -> Mapping[str, Any]:
        """Return what every unit of a vote rests on, and the seed."""
        return {**super().inputs(), "seed": self.seed}

    def uses(self) -> tuple[object, ...]:
        """Return the voter, and the attacks that are found by name."""
        return (*super().uses(), *house_attacks())
