"""Run `deeprob-compare` from a checkout."""

import sys

from deeprob.commands.main import compare

if __name__ == "__main__":
    sys.exit(compare())
