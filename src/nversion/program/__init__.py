"""The N-version program: several versions and a voter, as one model."""

from nversion.program.accuracy import (
    AccuracyBand,
    AccuracyCounter,
    accuracy_by_n,
    accuracy_by_n_orders,
)
from nversion.program.certificates.certified import certify_program
from nversion.program.certificates.comparison import RadiusComparison, compare_with_versions
from nversion.program.certificates.leads import certified_vote_radii
from nversion.program.certificates.registry import certificate_of
from nversion.program.certificates.smoothed import certify_program_smoothing
from nversion.program.model import Program
from nversion.program.verdict import Verdict, vote_outputs
from nversion.program.voters import (
    KOfN,
    Majority,
    MeanLogits,
    MeanSoftmax,
    MedianSoftmax,
    Outputs,
    SoftVoter,
    VoteCounter,
    Voter,
    create_voter,
    voter_names,
)

__all__ = [
    "AccuracyBand",
    "AccuracyCounter",
    "KOfN",
    "Majority",
    "MeanLogits",
    "MeanSoftmax",
    "MedianSoftmax",
    "Outputs",
    "Program",
    "RadiusComparison",
    "SoftVoter",
    "Verdict",
    "VoteCounter",
    "Voter",
    "accuracy_by_n",
    "accuracy_by_n_orders",
    "certificate_of",
    "certified_vote_radii",
    "certify_program",
    "certify_program_smoothing",
    "compare_with_versions",
    "create_voter",
    "vote_outputs",
    "voter_names",
]
