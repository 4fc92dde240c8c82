"""Versions: train one or many, save and load them."""
