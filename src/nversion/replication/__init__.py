"""Replications: many pairs of networks that differ in what they were taught.

The 2019 study compared one student with one baseline. Here every arm is trained many times, with
weights, order of images and dropout the same within a pair and new in the next, and teachers drawn
anew from the versions; then it is asked what tells the arms apart beyond chance.
"""

from nversion.replication.arms import ARMS, BASELINE, DEFAULT_ARMS, Arm, find_arm
from nversion.replication.campaign import replicate
from nversion.replication.contrasts import ROWS, Contrast, Mean
from nversion.replication.costs import Cost, Costed, cost_of, keep_costs
from nversion.replication.settings import DEFAULT_ATTACKS, ReplicationFolder, Settings
from nversion.replication.summary import Replication, say

__all__ = [
    "ARMS",
    "BASELINE",
    "DEFAULT_ARMS",
    "DEFAULT_ATTACKS",
    "ROWS",
    "Arm",
    "Contrast",
    "Cost",
    "Costed",
    "Mean",
    "Replication",
    "ReplicationFolder",
    "Settings",
    "cost_of",
    "find_arm",
    "keep_costs",
    "replicate",
    "say",
]
