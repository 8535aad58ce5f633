"""The loss around a run's weights: on lines and planes, searched for what is not convex and for the kinds of slices."""
