"""Certified radii for one network: no change within the radius changes the class."""

from nversion.certification.certify import certify
from nversion.certification.inputs import METHODS
from nversion.certification.margins import MarginBounds, margin_bounds

__all__ = ["METHODS", "MarginBounds", "certify", "margin_bounds"]
