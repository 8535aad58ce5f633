"""The output of a run: its directory, the TensorBoard file, progress and tables."""
