"""Run `deeprob-check-gradients` from a checkout."""

import sys

from deeprob.commands.main import check_gradients

if __name__ == "__main__":
    sys.exit(check_gradients())
