"""Voters: how several versions' outputs become one verdict. One file a family.

A voter is a class that says what each version casts and how that is added up (:mod:`.base`), under
a name (:mod:`.registry`). ``mean-softmax`` is the voter of the 2019 study. What certifies a vote is
apart, in :mod:`nversion.program.certificates`. A new voter is a new file here and a line below, or
an entry point of the group ``nversion.voters`` in a package of its own.
"""

from nversion.program.voters.base import SoftVoter, VoteCounter, Voter
from nversion.program.voters.borda import Borda
from nversion.program.voters.counts import Consensus, KOfN, Majority, Plurality
from nversion.program.voters.means import MeanLogits, MeanSoftmax
from nversion.program.voters.median import MaximumConfidence, MedianSoftmax, TrimmedMean
from nversion.program.voters.outputs import Outputs
from nversion.program.voters.registry import create_voter, register, voter_names
from nversion.program.voters.weights import fit_weights

__all__ = [
    "Borda",
    "Consensus",
    "KOfN",
    "Majority",
    "MaximumConfidence",
    "MeanLogits",
    "MeanSoftmax",
    "MedianSoftmax",
    "Outputs",
    "Plurality",
    "SoftVoter",
    "TrimmedMean",
    "VoteCounter",
    "Voter",
    "create_voter",
    "fit_weights",
    "register",
    "voter_names",
]
