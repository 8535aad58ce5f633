"""Comparison of finished and unfinished runs: tables, effects, heat maps, and one page with all of them."""
