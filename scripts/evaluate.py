"""Run `deeprob-evaluate` from a checkout."""

import sys

from deeprob.commands.main import evaluate

if __name__ == "__main__":
    sys.exit(evaluate())
