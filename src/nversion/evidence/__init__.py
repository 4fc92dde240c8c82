"""A study's results for others to rely on: requirements on them, and evidence to hand in.

What a study found lies in ``results.json``. Here it is held against requirements
(:mod:`~nversion.evidence.requirements`), gathered as one value with a type
(:func:`~nversion.evidence.gather.gather`) and written in the forms that others read
(:data:`~nversion.evidence.forms.FORMS`).
"""

from nversion.evidence.gather import gather
from nversion.evidence.keys import found_at
from nversion.evidence.record import Evidence
from nversion.evidence.requirements import Judgement, Requirement, judge

__all__ = ["Evidence", "Judgement", "Requirement", "found_at", "gather", "judge"]
