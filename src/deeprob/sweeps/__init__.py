"""Sweeps: many runs from one command."""

from deeprob.sweeps.searching import search
from deeprob.sweeps.sweep import sweep
from deeprob.sweeps.task import SweepTask, searches

__all__ = ["SweepTask", "search", "searches", "sweep"]
