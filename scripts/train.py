"""Run `deeprob-train` from a checkout."""

import sys

from deeprob.cli import train

if __name__ == "__main__":
    sys.exit(train())
