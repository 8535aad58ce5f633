"""Comparing runs that have been made: tables, effects, heat maps and one page of them all."""

from deeprob.compare.compare import CompareConfig, compare

__all__ = ["CompareConfig", "compare"]
