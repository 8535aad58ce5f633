"""Figures of a model: its units, its weights and its predictions."""
