"""Sweeps: many runs from one command."""

from deeprob.sweep.isolation import isolated
from deeprob.sweep.sweep import sweep

__all__ = ["isolated", "sweep"]
