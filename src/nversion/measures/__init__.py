"""How differently versions fail, measured on stored outputs; no network is needed.

:func:`diversity` is what most callers want; :func:`as_answers` and :func:`as_wrong` are how every
package that stands over stored outputs reads them.
"""

from nversion.measures.answers import Answers, as_answers, as_wrong
from nversion.measures.diversity import Diversity, diversity
from nversion.measures.ensemble import NUMBERS
from nversion.measures.gradients import gradient_cosines
from nversion.measures.pairwise import MATRICES
from nversion.measures.patterns import Patterns

__all__ = [
    "MATRICES",
    "NUMBERS",
    "Answers",
    "Diversity",
    "Patterns",
    "as_answers",
    "as_wrong",
    "diversity",
    "gradient_cosines",
]
