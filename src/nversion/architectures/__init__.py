"""Architectures as text: parse, write, check, build, generate, and the catalogue of 100."""
