"""Adversarial attacks: one file per attack over one small base."""
