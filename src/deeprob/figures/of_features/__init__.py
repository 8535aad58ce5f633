"""Figures of the features that are computed from pictures."""
