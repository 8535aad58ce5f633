"""Compare runs with tables, effects and heat maps, on the terminal and on an HTML page. Runs may be unfinished."""
