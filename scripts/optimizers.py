"""Run `deeprob-optimizers` from a checkout."""

import sys

from deeprob.commands.main import optimizers

if __name__ == "__main__":
    sys.exit(optimizers())
