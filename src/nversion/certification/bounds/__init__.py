"""Ranges of every neuron over the ball, and the pass that combines all ways to them."""
