"""The table of attacks: how often each succeeds, by how little, and whether it is in the set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
import torch

from nversion.adversarial.perceptibility import Medians, PerceptibilityRule
from nversion.adversarial.runs import AttackRun
from nversion.errors import InputError

__all__ = ["AttackSummary", "group_by_attack", "summarise", "wilson_interval"]


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the Wilson score interval for a share, (low, high); (0, 1) without trials.

    Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927); recommended for few trials and for shares near 0 or
    1 by Brown, Cai and DasGupta (Statistical Science 16, 2001).

    Raises:
        InputError: the counts or the confidence are impossible.
    """
    if not 0 <= successes <= trials:
        raise InputError(f"successes must lie in [0, {trials}], not {successes}")
    if not 0.0 < confidence < 1.0:
        raise InputError(f"confidence must lie in (0, 1), not {confidence!r}")
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    # At 0 and at all successes the bound is exact; rounding must not carry it past the share.
    low = 0.0 if successes == 0 else (centre - spread) / scale
    high = 1.0 if successes == trials else (centre + spread) / scale
    return low, high


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
        effectiveness_low: lower end of the 95 % Wilson interval.
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


def group_by_attack(runs: Sequence[AttackRun]) -> dict[str, list[AttackRun]]:
    """Return the runs of each attack, in the order in which attacks first appear.

    Raises:
        InputError: an attack ran twice on one version, or with different options, or the images
            differ in shape.
    """
    groups: dict[str, list[AttackRun]] = {}
    for run in runs:
        group = groups.setdefault(run.attack, [])
        if any(run.version == other.version for other in group):
            raise InputError(f"{run.attack} ran twice on {run.version}; keep one of the runs")
        first = group[0] if group else run
        if (run.options, run.norm) != (first.options, first.norm):
            raise InputError(
                f"{run.attack} ran with other options on {run.version} than on {first.version}; "
                "its results cannot be put together"
            )
        if run.images.shape[1:] != runs[0].images.shape[1:]:
            raise InputError(
                f"the images of {run.attack} on {run.version} are {list(run.images.shape[1:])}, "
                f"others {list(runs[0].images.shape[1:])}"
            )
        group.append(run)
    return groups


def summarise(
    runs: Sequence[AttackRun], rule: PerceptibilityRule | None = None
) -> list[AttackSummary]:
    """Return one row for each attack, in the order in which attacks first appear in `runs`.

    Args:
        runs: any number of versions and attacks.
        rule: which attacks are in the adversarial set; by default :class:`PerceptibilityRule`.

    Raises:
        InputError: runs that do not go together (see :func:`group_by_attack`).
    """
    rule = rule or PerceptibilityRule()
    return [_row(name, group, rule) for name, group in group_by_attack(runs).items()]


def _row(name: str, group: list[AttackRun], rule: PerceptibilityRule) -> AttackSummary:
    misclassified = sum(int(run.already_misclassified.sum()) for run in group)
    tried = sum(len(run) for run in group) - misclassified
    succeeded = sum(int(run.success.sum()) for run in group)
    low, high = wilson_interval(succeeded, tried)
    medians = _medians(group) if succeeded else None
    kept, reason = rule.decide(medians)
    return AttackSummary(
        name=name,
        norm=group[0].norm,
        tried=tried,
        succeeded=succeeded,
        already_misclassified=misclassified,
        effectiveness=succeeded / tried if tried else None,
        effectiveness_low=low,
        effectiveness_high=high,
        medians=medians,
        seconds=math.fsum(run.seconds for run in group),
        in_adversarial_set=kept,
        reason=reason,
    )


def _medians(group: list[AttackRun]) -> Medians:
    def median(column: str) -> float:
        values = torch.cat([getattr(run, column)[run.success] for run in group])
        return float(np.median(values.double().numpy()))

    l2 = median("l2")
    values_per_image = group[0].images[0].numel()
    return Medians(
        l0=median("l0"),
        l1=median("l1"),
        l2=l2,
        linf=median("linf"),
        rms=l2 / math.sqrt(values_per_image),
        ssim=median("ssim"),
    )
