"""Accuracy, adversarial frequency, ranks and statistics."""

from nversion.adversarial import wilson_interval
from nversion.evaluation.accuracy import Labelled, accuracy
from nversion.evaluation.clustered import Gain, Share, clustered_gain, clustered_share, holm
from nversion.evaluation.frequency import Attacked, Frequency, adversarial_frequency
from nversion.evaluation.ranks import Rank, rank, spearman

__all__ = [
    "Attacked",
    "Frequency",
    "Gain",
    "Labelled",
    "Rank",
    "Share",
    "accuracy",
    "adversarial_frequency",
    "clustered_gain",
    "clustered_share",
    "holm",
    "rank",
    "spearman",
    "wilson_interval",
]
