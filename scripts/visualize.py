"""Run `deeprob-visualize` from a checkout."""

import sys

from deeprob.commands.main import visualize

if __name__ == "__main__":
    sys.exit(visualize())
