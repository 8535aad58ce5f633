"""Run `deeprob-check-part` from a checkout."""

import sys

from deeprob.commands.main import check_part

if __name__ == "__main__":
    sys.exit(check_part())
