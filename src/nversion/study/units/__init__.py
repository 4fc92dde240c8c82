"""The kinds of units of work, apart from the stages that plan the units.

A unit is made again when the code that its class reaches by import has changed
(:mod:`nversion.study.closure`). So each kind of work has a module of its own here, which imports
what the work takes and nothing of what plans, runs or shows it.
"""
