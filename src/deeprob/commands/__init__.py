"""The console commands: one file per command, and `main`, which runs one and returns its exit status."""
