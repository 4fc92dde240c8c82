"""A study's results for others to rely on: requirements on them, and evidence to hand in.

What a study found lies in ``results.json``. Here it is held against requirements
(:mod:`~nversion.evidence.requirements`).
"""

from nversion.evidence.keys import found_at
from nversion.evidence.requirements import Judgement, Requirement, judge

__all__ = ["Judgement", "Requirement", "found_at", "judge"]
