"""What ``results.json`` holds: every number that the report shows, in its place and of its type.

The stages of a study make these sections, and the report reads them as attributes. A study that
stopped half-way, or was made by an older version of nversion, lacks some: what may be absent is
None, an empty list or an empty mapping, and a key that is not known is passed over. But a value of
another type than it must have is an error that names its key: nothing is shown for what it is not.

Shares and accuracies are fractions in [0, 1], distances and radii in pixels of [0, 1], times in
wall-clock seconds; all numbers are finite.
"""

from nversion.study.sections.attacks import (
    AdversarialSetFacts,
    AttackRow,
    TransferMatrix,
    UnderAttackRow,
    VersionOrigin,
    VersionRow,
)
from nversion.study.sections.base import Section
from nversion.study.sections.classes import ClassAnswers
from nversion.study.sections.compared import Comparison, ShareOfImages
from nversion.study.sections.faults import PlantedFault, PlantedFaults
from nversion.study.sections.networks import (
    AttackedDistances,
    AttackedPair,
    BestRadii,
    Certification,
    CertifiedVotes,
    Distillation,
    Network,
    RadiiPair,
    RadiiSummary,
    TwinRow,
    VoteRadii,
)
from nversion.study.sections.program import (
    AgainstBest,
    BestVersionGain,
    Comparisons,
    GrowthBand,
    OnAdversarialSet,
    OnImages,
    Program,
)
from nversion.study.sections.reliability import (
    BetaBinomialFit,
    ChosenVersions,
    Coincidences,
    FailuresTogether,
    MeasuredValue,
    OrdersOfVersions,
    Reliability,
    Selection,
    VoteGrowth,
    VoterCurve,
)
from nversion.study.sections.replication import (
    NetworkCost,
    Replicated,
    ReplicatedContrast,
    ReplicatedMean,
)
from nversion.study.sections.results import Results
from nversion.study.sections.run import Example, ExampleAttack, Failure, Question, StudyFacts
from nversion.study.sections.whole import (
    Holding,
    Whole,
    WholeBudget,
    WholeCheck,
    WholeDistances,
    WholeGain,
    WholeSubject,
)

__all__ = [
    "AdversarialSetFacts",
    "AgainstBest",
    "AttackRow",
    "AttackedDistances",
    "AttackedPair",
    "BestRadii",
    "BestVersionGain",
    "BetaBinomialFit",
    "Certification",
    "CertifiedVotes",
    "ChosenVersions",
    "ClassAnswers",
    "Coincidences",
    "Comparison",
    "Comparisons",
    "Distillation",
    "Example",
    "ExampleAttack",
    "Failure",
    "FailuresTogether",
    "GrowthBand",
    "Holding",
    "MeasuredValue",
    "Network",
    "NetworkCost",
    "OnAdversarialSet",
    "OnImages",
    "OrdersOfVersions",
    "PlantedFault",
    "PlantedFaults",
    "Program",
    "Question",
    "RadiiPair",
    "RadiiSummary",
    "Reliability",
    "Replicated",
    "ReplicatedContrast",
    "ReplicatedMean",
    "Results",
    "Section",
    "Selection",
    "ShareOfImages",
    "StudyFacts",
    "TransferMatrix",
    "TwinRow",
    "UnderAttackRow",
    "VersionOrigin",
    "VersionRow",
    "VoteGrowth",
    "VoteRadii",
    "VoterCurve",
    "Whole",
    "WholeBudget",
    "WholeCheck",
    "WholeDistances",
    "WholeGain",
    "WholeSubject",
]
