"""Studies side by side: what differs in their settings, their numbers, and their verdicts.

:func:`compare` makes one value of several studies; :func:`~nversion.comparison.page.page` writes it
as a page that needs nothing but itself.
"""

from nversion.comparison.compared import Compared, compare

__all__ = ["Compared", "compare"]
