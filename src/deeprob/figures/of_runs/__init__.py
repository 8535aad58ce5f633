"""Figures of the metrics that runs recorded during training."""
