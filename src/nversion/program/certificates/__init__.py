"""What certifies votes, apart from what votes: labels made by voting do not rest on it.

``certified`` certifies a program by bounds (``leads`` says what bounds of the versions' margins
leave of a vote's lead, ``radius_search`` finds the largest radius), ``smoothed`` by randomised
smoothing; ``comparison`` holds a program's radii beside its versions' own.
"""
