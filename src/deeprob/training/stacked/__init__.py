"""Train many runs together, as one tensor program."""
