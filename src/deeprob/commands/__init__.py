"""The console commands. Each command has its own file. `main` runs a command and returns its exit status."""
