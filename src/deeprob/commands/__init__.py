"""The console commands: one file each, and `main` that turns words into an exit status."""
