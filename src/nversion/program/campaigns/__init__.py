"""Whole pieces of work on versions and their program: what a face of the library asks and shows.

``certifying`` certifies the first images of a test set, in parts on several cores, as a
``request`` asks; ``radii`` holds what came of it, ``smoothing`` what came of randomised smoothing.
``voting`` counts how often a vote is right, beside each version. All return frozen values that
know their JSON, so that the command line, and whatever else shows them, only asks and prints.
"""
