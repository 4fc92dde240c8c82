"""Voters by name."""

from __future__ import annotations

from typing import Any

from nversion.program.voters.base import Voter
from nversion.registry import Registry

__all__ = ["create_voter", "register", "voter_names"]

LISTED = (
    *("mean-softmax", "mean-logits", "plurality", "majority", "k-of-n", "consensus"),
    *("median-softmax", "trimmed-mean", "maximum-confidence", "borda"),
)

VOTERS: Registry[Voter] = Registry("voter", "nversion.voters", Voter, first=LISTED)

register = VOTERS.register
voter_names = VOTERS.names


def create_voter(name: str | Voter, **options: Any) -> Voter:
    """Return the voter called `name` with its `options`; a voter is handed back as it is.

    Raises:
        InputError: no voter has that name, or it has no such option.
    """
    return name if isinstance(name, Voter) else VOTERS.create(name, **options)
