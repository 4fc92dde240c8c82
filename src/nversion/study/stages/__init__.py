"""The stages of a study, in the order in which it comes to them.

A stage is a function that receives the study (:class:`nversion.study.context.Study`) and what the
stages before it made, brings its units up to date, and returns what the next ones need, or a
section of the results.
"""
