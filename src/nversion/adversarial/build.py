"""The adversarial set, built from attack runs: successes only, of attacks that the rule keeps.

Two passes over the runs, one to count and one to fill, so that beside the set itself there is one
run in memory at a time when the runs are read from files as they are looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import torch
from torch import Tensor

from nversion.adversarial.adversarial_set import COLUMNS, AdversarialSet
from nversion.adversarial.perceptibility import PerceptibilityRule
from nversion.adversarial.runs import AttackRun
from nversion.adversarial.summary import AttackTally
from nversion.errors import InputError

__all__ = ["build"]


def build(runs: Iterable[AttackRun], rule: PerceptibilityRule | None = None) -> AdversarialSet:
    """Build the adversarial set.

    Images are ordered by version, then by attack (both in the order of first appearance in `runs`),
    then by test index.

    Args:
        runs: every attack on every version; gone through twice, so no iterator.
        rule: which attacks are in; by default :class:`PerceptibilityRule`.

    Returns:
        The set; it names all attacked versions, and the attacks that are in it.

    Raises:
        InputError: there are no runs, or they do not go together.
    """
    tally, successes = AttackTally(), dict[tuple[str, str], int]()
    first: AttackRun | None = None
    for run in runs:
        first = first or run
        tally.add(run)
        successes[run.version, run.attack] = int(run.success.sum())
    if first is None:
        raise InputError("there are no attack runs to build an adversarial set from")
    versions = tuple(tally.versions)
    attacks = tuple(row.name for row in tally.rows(rule) if row.in_adversarial_set)
    places, count = _places(versions, attacks, successes)
    columns = {name: torch.empty(count, dtype=dtype) for name, dtype in COLUMNS.items()}
    columns["images"] = torch.empty(count, *first.images.shape[1:])
    storable = bool(places)
    for run in runs:
        if (run.version, run.attack) not in places:
            continue
        storable &= run.storable
        rows, chosen = places[run.version, run.attack], _successes(run)
        for name, column in columns.items():
            if name == "version_ids":
                column[rows] = versions.index(run.version)
            elif name == "attack_ids":
                column[rows] = attacks.index(run.attack)
            else:
                column[rows] = getattr(run, name)[chosen]
    return AdversarialSet(
        versions=versions,
        attacks=attacks,
        options={name: tally.options[name] for name in attacks},
        storable=storable,
        **columns,
    )


def _places(
    versions: tuple[str, ...], attacks: tuple[str, ...], successes: dict[tuple[str, str], int]
) -> tuple[dict[tuple[str, str], slice], int]:
    """Return the rows of the set that each run fills, and how many there are."""
    places, start = {}, 0
    for key in itertools.product(versions, attacks):
        if key in successes:
            places[key] = slice(start, start + successes[key])
            start += successes[key]
    return places, start


def _successes(run: AttackRun) -> Tensor:
    """Return the positions of the run's successes, in the order of their test indices."""
    order = run.test_indices.argsort(stable=True)
    return order[run.success[order]]
