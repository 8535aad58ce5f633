"""Run `deeprob-optimizer-paths` from a checkout."""

import sys

from deeprob.commands.main import optimizer_paths

if __name__ == "__main__":
    sys.exit(optimizer_paths())
