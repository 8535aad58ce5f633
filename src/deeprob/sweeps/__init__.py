"""Sweeps: many runs from one command."""

from deeprob.sweeps.searching import search
from deeprob.sweeps.sweep import sweep
from deeprob.sweeps.task import SweepTask, run_job, searches

__all__ = ["SweepTask", "run_job", "search", "searches", "sweep"]
