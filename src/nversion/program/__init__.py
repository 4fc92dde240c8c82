"""The N-version program: several versions and a voter, as one model."""

from nversion.program.accuracy import AccuracyBand, accuracy_by_n, accuracy_by_n_orders
from nversion.program.model import Program
from nversion.program.verdict import Verdict, vote_outputs
from nversion.program.voters import (
    KOfN,
    Majority,
    MeanLogits,
    MeanSoftmax,
    MedianSoftmax,
    Outputs,
    Voter,
    create_voter,
    voter_names,
)

__all__ = [
    "AccuracyBand",
    "KOfN",
    "Majority",
    "MeanLogits",
    "MeanSoftmax",
    "MedianSoftmax",
    "Outputs",
    "Program",
    "Verdict",
    "Voter",
    "accuracy_by_n",
    "accuracy_by_n_orders",
    "create_voter",
    "vote_outputs",
    "voter_names",
]
