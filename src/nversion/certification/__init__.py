"""Certified radii for one network: no change within the radius changes the class."""

from nversion.certification.certify import METHODS, certify, margin_bounds

__all__ = ["METHODS", "certify", "margin_bounds"]
