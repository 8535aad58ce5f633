"""The console commands: one file per command, and `main`, which runs a command and returns the exit status."""
