"""Sweeps: many runs from one command."""

from deeprob.sweep.searching import search
from deeprob.sweep.sweep import sweep
from deeprob.sweep.task import SweepTask, run_job, searches

__all__ = ["SweepTask", "run_job", "search", "searches", "sweep"]
