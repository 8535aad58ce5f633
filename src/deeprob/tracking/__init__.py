"""What a run leaves behind and shows: its directory, TensorBoard's file, progress and tables."""
