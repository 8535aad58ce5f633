"""Figures that compare optimizers, by their runs or by their paths on surfaces."""
