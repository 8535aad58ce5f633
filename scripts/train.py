"""Run `deeprob-train` from a checkout."""

import sys

from deeprob.commands.main import train

if __name__ == "__main__":
    sys.exit(train())
