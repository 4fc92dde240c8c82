"""What certifies votes, apart from what votes: labels made by voting do not rest on it.

``certified`` certifies a program by bounds. Which function does it for which voter is in
``registry``; those of nversion's own voters are in ``joined``, ``softmaxes``, ``counts`` and
``ranks``, and for programs that abstain in ``abstaining``. They are made of ``problem`` (bounds of
the versions' margins), ``leads`` (what these leave of a vote's lead) and ``radius_search``.
``smoothed`` certifies any voter by randomised smoothing; ``comparison`` holds a program's radii
beside its versions' own.

A new voter's certificate is one new function in a new file here, which ``certified`` imports; or,
for a plugin's voter, a function in the package that its entry point names.
"""
