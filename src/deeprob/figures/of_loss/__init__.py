"""Figures of L(W): slices and planes through a run's weights, convexity, and errors of the gradient."""
