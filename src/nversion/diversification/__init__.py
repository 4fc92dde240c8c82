"""What buys diversity: equal numbers of versions that differ in one thing alone, side by side.

Versions can differ in their seed, their architecture, what they learn from, or how they learn. Each
of these costs something; this package trains as many versions by each, and measures what each buys.
"""

from nversion.diversification.campaign import Diversification, Settings, diversify
from nversion.diversification.measuring import Measured
from nversion.diversification.sources import SOURCES, Basis, Making

__all__ = [
    "SOURCES",
    "Basis",
    "Diversification",
    "Making",
    "Measured",
    "Settings",
    "diversify",
]
