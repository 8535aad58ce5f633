"""Figures that show the input plane after each layer: the training points, a grid and the boundary."""
