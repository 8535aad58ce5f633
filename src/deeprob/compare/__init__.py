"""Comparing runs that have been made: tables, effects, heat maps and one page of them all."""
