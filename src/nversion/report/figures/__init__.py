"""The report's figures: which there are, how they are drawn, and how they become part of a page."""

from nversion.report.figures.catalogue import FIGURES, Entry, draw, figures

__all__ = ["FIGURES", "Entry", "draw", "figures"]
