"""A plugin for nversion: one of each of what a package of your own can add."""
