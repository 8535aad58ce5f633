"""The output of a run: its directory, TensorBoard's event file, the progress bar, and tables."""
