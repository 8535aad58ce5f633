"""Sweeps: many runs from one command."""

from deeprob.sweep.sweep import sweep
from deeprob.sweep.task import SweepTask, run_job

__all__ = ["SweepTask", "run_job", "sweep"]
