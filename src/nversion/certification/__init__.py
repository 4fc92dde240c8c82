"""Certified radii for one network: no change within the radius changes the class."""

from nversion.certification.certify import METHODS, MarginBounds, certify, margin_bounds

__all__ = ["METHODS", "MarginBounds", "certify", "margin_bounds"]
