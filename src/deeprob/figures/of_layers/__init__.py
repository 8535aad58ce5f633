"""Figures of the plane after each layer, with its points, a grid and the boundary."""
