"""Run `deeprob-export` from a checkout."""

import sys

from deeprob.commands.main import export

if __name__ == "__main__":
    sys.exit(export())
