"""What parts are checked for: a file for each group, and one for all that train in a run."""
