"""Run `deeprob-predict` from a checkout."""

import sys

from deeprob.commands.main import predict

if __name__ == "__main__":
    sys.exit(predict())
