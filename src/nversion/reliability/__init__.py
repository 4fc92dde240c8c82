"""Whether versions fail together, what that does to their vote, and how many versions to take.

Everything stands over right and wrong, or over votes; no network is needed.
"""

from nversion.reliability.beta_binomial import BetaBinomial
from nversion.reliability.bounds import (
    FailureBounds,
    class_bounds,
    majority_bounds,
    popov_strigini,
)
from nversion.reliability.counting import coincident_failures
from nversion.reliability.failures import CoincidentFailures
from nversion.reliability.growth import Growth, majority_growth, plurality_growth
from nversion.reliability.independence import independent_failures
from nversion.reliability.methodologies import Methodologies, littlewood_miller

__all__ = [
    "BetaBinomial",
    "CoincidentFailures",
    "FailureBounds",
    "Growth",
    "Methodologies",
    "class_bounds",
    "coincident_failures",
    "independent_failures",
    "littlewood_miller",
    "majority_bounds",
    "majority_growth",
    "plurality_growth",
    "popov_strigini",
]
