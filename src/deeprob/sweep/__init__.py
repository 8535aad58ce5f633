"""Sweeps: many runs from one command."""

from deeprob.sweep.sweep import sweep

__all__ = ["sweep"]
