"""Shares of images with their intervals, and what one has over another, in the results."""

from __future__ import annotations

from nversion.study.sections.base import Section

__all__ = ["Comparison", "ShareOfImages"]


class ShareOfImages(Section):
    """A share of images with its 95 % interval by test image.

    Attributes:
        value: the share.
        low: lower end of the interval.
        high: upper end.
        images: how many there are.
        clusters: how many test images they come from.
    """

    value: float
    low: float
    high: float
    images: int
    clusters: int


class Comparison(Section):
    """What one has over another on the same images.

    Attributes:
        first: accuracy (or frequency) of the one.
        second: of the other.
        difference: first minus second.
        low: lower end of the difference's 95 % interval, by test image.
        high: upper end.
        p_value: two-sided, of the permutation test by test image.
        images: how many there are.
        clusters: how many test images they come from.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    images: int
    clusters: int
