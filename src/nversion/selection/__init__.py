"""Which versions to take: the smallest program that is as good as all of them.

Choose by a criterion on images that nothing is judged on (held-out training images), and judge the
choice on others. Everything stands over stored outputs; no network is needed.
"""

from nversion.selection.accuracy import Accuracy
from nversion.selection.coincidence import Coincidence
from nversion.selection.criteria import Criterion
from nversion.selection.orders import best_first, in_order, random_orders
from nversion.selection.search import SEARCHES, Choice, beam, exact, greedy, smallest
from nversion.selection.shapley import Contributions, contributions
from nversion.selection.weights import fit_weights
from nversion.selection.white_box import WhiteBox, gram

__all__ = [
    "SEARCHES",
    "Accuracy",
    "Choice",
    "Coincidence",
    "Contributions",
    "Criterion",
    "WhiteBox",
    "beam",
    "best_first",
    "contributions",
    "exact",
    "fit_weights",
    "gram",
    "greedy",
    "in_order",
    "random_orders",
    "smallest",
]
