"""Train many runs together: each update of all runs is one computation with tensors that have one row per run."""
