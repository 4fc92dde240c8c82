"""The N-version program: several versions and a voter, as one model."""

from nversion.program.abstention import Abstention
from nversion.program.accuracy import (
    AccuracyBand,
    AccuracyCounter,
    accuracy_by_n,
    accuracy_by_n_orders,
)
from nversion.program.certificates.certified import certify_program
from nversion.program.certificates.comparison import RadiusComparison, compare_with_versions
from nversion.program.certificates.leads import certified_vote_radii
from nversion.program.certificates.registry import certificate_of, is_certified
from nversion.program.certificates.smoothed import certify_program_smoothing
from nversion.program.coverage import (
    CoverageCurve,
    accuracy_coverage,
    coverage_curve,
    separation,
)
from nversion.program.faults import Fault
from nversion.program.isolation import Isolation
from nversion.program.model import Program
from nversion.program.planting import FaultCurve, plant_faults
from nversion.program.verdict import Rules, Verdict, vote_outputs
from nversion.program.voters import (
    Borda,
    Consensus,
    KOfN,
    Majority,
    MaximumConfidence,
    MeanLogits,
    MeanSoftmax,
    MedianSoftmax,
    Outputs,
    Plurality,
    SoftVoter,
    TrimmedMean,
    VoteCounter,
    Voter,
    create_voter,
    fit_weights,
    voter_names,
)

__all__ = [
    "Abstention",
    "AccuracyBand",
    "AccuracyCounter",
    "Borda",
    "Consensus",
    "CoverageCurve",
    "Fault",
    "FaultCurve",
    "Isolation",
    "KOfN",
    "Majority",
    "MaximumConfidence",
    "MeanLogits",
    "MeanSoftmax",
    "MedianSoftmax",
    "Outputs",
    "Plurality",
    "Program",
    "RadiusComparison",
    "Rules",
    "SoftVoter",
    "TrimmedMean",
    "Verdict",
    "VoteCounter",
    "Voter",
    "accuracy_by_n",
    "accuracy_by_n_orders",
    "accuracy_coverage",
    "certificate_of",
    "certified_vote_radii",
    "certify_program",
    "certify_program_smoothing",
    "compare_with_versions",
    "coverage_curve",
    "create_voter",
    "fit_weights",
    "is_certified",
    "plant_faults",
    "separation",
    "vote_outputs",
    "voter_names",
]
