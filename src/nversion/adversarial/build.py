"""The adversarial set, built from attack runs: successes only, of attacks that the rule keeps."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nversion.adversarial.adversarial_set import AdversarialSet
from nversion.adversarial.perceptibility import PerceptibilityRule
from nversion.adversarial.runs import AttackRun
from nversion.adversarial.summary import group_by_attack, summarise
from nversion.errors import InputError

__all__ = ["build"]


def build(runs: Sequence[AttackRun], rule: PerceptibilityRule | None = None) -> AdversarialSet:
    """Build the adversarial set.

    Images are ordered by version, then by attack (both in the order of first appearance in `runs`),
    then by test index.

    Args:
        runs: every attack on every version.
        rule: which attacks are in; by default :class:`PerceptibilityRule`.

    Returns:
        The set; it names all attacked versions, and the attacks that are in it.

    Raises:
        InputError: there are no runs, or they do not go together.
    """
    if not runs:
        raise InputError("there are no attack runs to build an adversarial set from")
    groups = group_by_attack(runs)
    versions = tuple(dict.fromkeys(run.version for run in runs))
    attacks = tuple(row.name for row in summarise(runs, rule) if row.in_adversarial_set)
    kept = sorted(
        (run for name in attacks for run in groups[name]),
        key=lambda run: (versions.index(run.version), attacks.index(run.attack)),
    )
    rows = [_successes(run) for run in kept]

    def column(name: str) -> Tensor:
        nothing = getattr(runs[0], name)[:0]
        pieces = [getattr(run, name)[chosen] for run, chosen in zip(kept, rows, strict=True)]
        return torch.cat([nothing, *pieces])

    def positions(names: tuple[str, ...], what: str) -> Tensor:
        pieces = [
            torch.full((len(chosen),), names.index(getattr(run, what)), dtype=torch.int64)
            for run, chosen in zip(kept, rows, strict=True)
        ]
        return torch.cat([torch.zeros(0, dtype=torch.int64), *pieces])

    return AdversarialSet(
        images=column("images"),
        versions=versions,
        attacks=attacks,
        options={name: groups[name][0].options for name in attacks},
        version_ids=positions(versions, "version"),
        attack_ids=positions(attacks, "attack"),
        test_indices=column("test_indices"),
        labels=column("labels"),
        predictions=column("predictions"),
        l0=column("l0"),
        l1=column("l1"),
        l2=column("l2"),
        linf=column("linf"),
        ssim=column("ssim"),
        storable=bool(kept) and all(run.storable for run in kept),
    )


def _successes(run: AttackRun) -> Tensor:
    """Return the positions of the run's successes, in the order of their test indices."""
    order = run.test_indices.argsort(stable=True)
    return order[run.success[order]]
