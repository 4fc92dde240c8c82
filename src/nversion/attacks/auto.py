"""AutoAttack, standard version: four attacks that fail in different ways (Croce & Hein 2020).

"Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
ICML 2020, section 6. In this order: Auto-PGD on the cross-entropy, Auto-PGD on the targeted DLR
loss for nine classes, FAB for nine classes, and the Square attack with 5,000 queries, each with one
run. An image that one attack breaks is not given to the next; what none breaks is robust at this
epsilon as far as the ensemble can tell.

Chosen here: FAB is finished with an image as soon as it has it within epsilon, since nothing nearer
is asked for.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from torch import Tensor

from nversion.attacks.apgd import AutoPGD
from nversion.attacks.ball import BallAttack, within
from nversion.attacks.base import Attack, check_count
from nversion.attacks.criteria import is_adversarial
from nversion.attacks.fab import FastAdaptiveBoundary
from nversion.attacks.noise import Noise
from nversion.attacks.oracle import Oracle
from nversion.attacks.registry import register
from nversion.attacks.square import Square

__all__ = ["AutoAttack"]


@register
@dataclasses.dataclass(frozen=True)
class AutoAttack(BallAttack):
    """AutoAttack within an Linf or L2 ball.

    Attributes:
        norm: "linf" or "l2".
        epsilon: radius; by default 0.3 (Linf) or 2.0 (L2).
        steps: iterations of each run of Auto-PGD and of FAB.
        targets: classes aimed at by the two targeted attacks, at the most.
        queries: queries of the Square attack.
    """

    steps: int = 100
    targets: int = 9
    queries: int = 5000

    name: ClassVar[str] = "auto"
    paper: ClassVar[str] = "Croce & Hein 2020"
    targetable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for option in ("steps", "targets", "queries"):
            check_count(option, getattr(self, option))

    def stages(self) -> tuple[Attack, ...]:
        """Return the four attacks in the order in which they are run."""
        norm, epsilon, steps, targets = self.norm, self.radius, self.steps, self.targets
        return (
            AutoPGD(norm, epsilon, loss="cross-entropy", steps=steps),
            AutoPGD(norm, epsilon, loss="targeted-dlr", steps=steps, targets=targets),
            FastAdaptiveBoundary(norm, targets=targets, steps=steps, enough=epsilon),
            Square(norm, epsilon, queries=self.queries),
        )

    def propose(self, oracle: Oracle, images: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """Return an adversarial image within epsilon; the original where none was found."""
        result = images.clone()
        open_ = torch.arange(len(images), device=images.device)
        for stage in self.stages():
            if len(open_) == 0:
                break
            originals, own = images[open_], labels[open_]
            found = stage.propose(oracle, originals, own, noise.of(open_))
            broken = is_adversarial(oracle.logits(found), own, oracle.dtype)
            broken &= within(found, originals, self.radius, self.norm)
            result[open_[broken]] = found[broken]
            open_ = open_[~broken]
        return result
