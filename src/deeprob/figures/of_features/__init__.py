"""Figures of the features of pictures."""
