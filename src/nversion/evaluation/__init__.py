"""Accuracy, adversarial frequency, ranks and statistics."""

from nversion.adversarial import wilson_interval
from nversion.evaluation.accuracy import Labelled, accuracy
from nversion.evaluation.frequency import Attacked, Frequency, adversarial_frequency
from nversion.evaluation.paired import paired_comparison
from nversion.evaluation.ranks import Rank, rank, spearman

__all__ = [
    "Attacked",
    "Frequency",
    "Labelled",
    "Rank",
    "accuracy",
    "adversarial_frequency",
    "paired_comparison",
    "rank",
    "spearman",
    "wilson_interval",
]
