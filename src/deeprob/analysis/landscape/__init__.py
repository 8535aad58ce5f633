"""The loss of a run as a function of its weights: its values on lines and planes, its convexity, its shapes."""
