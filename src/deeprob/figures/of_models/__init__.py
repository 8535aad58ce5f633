"""Figures of a model: its units, its weights, its predictions."""
