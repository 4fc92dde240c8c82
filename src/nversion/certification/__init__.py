"""Certified radii for one network."""
