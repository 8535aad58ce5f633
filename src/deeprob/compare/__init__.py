"""Compare finished and unfinished runs with tables, effects and heat maps, all of which are also on one page."""
