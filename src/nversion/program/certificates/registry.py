"""Which function certifies which voter's verdict.

A certificate is a proof about one class of voters, so it is found by exactly that class: one that
derives from it may count otherwise, and has none until its own is registered.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from nversion.errors import InputError
from nversion.program.certificates.problem import VoteProblem
from nversion.program.model import Program
from nversion.program.voters import Voter

__all__ = ["Certificate", "certificate_of", "certifies", "is_certified"]

Certificate = Callable[[Program, VoteProblem], Tensor]
"""Takes a program and images whose verdict is their label, and returns radii float64 [count] within
which no change of the image changes the verdict; 0 where nothing can be proven."""

_CERTIFICATES: dict[type[Voter], Certificate] = {}


def certifies(*voters: type[Voter]) -> Callable[[Certificate], Certificate]:
    """Enter a function as the certificate of some classes of voters (a decorator)."""

    def enter(certificate: Certificate) -> Certificate:
        _CERTIFICATES.update(dict.fromkeys(voters, certificate))
        return certificate

    return enter


def is_certified(voter: Voter) -> bool:
    """Return whether there is a certificate for a voter's verdict."""
    return type(voter) in _CERTIFICATES


def certificate_of(voter: Voter) -> Certificate:
    """Return the function that certifies a voter's verdict.

    Raises:
        InputError: there is none.
    """
    if type(voter) not in _CERTIFICATES:
        known = ", ".join(one.name for one in _CERTIFICATES)
        raise InputError(
            f"there is no certificate for the voter {voter.name}; there are ones for {known}; "
            "randomised smoothing certifies any voter"
        )
    return _CERTIFICATES[type(voter)]
