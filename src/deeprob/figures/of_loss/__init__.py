"""Pictures of L(W): slices and planes through a run's weights, convexity, and errors of its gradient."""
