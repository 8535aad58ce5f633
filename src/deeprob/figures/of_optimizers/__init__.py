"""Figures that compare optimizers: runs, and paths on surfaces."""
