"""What the suite samples and `make torture` does in full: each test asks how often, and says what came of it."""

import os
from collections.abc import Callable

import pytest

FULL = os.environ.get("DEEPROB_TORTURE") == "1"


@pytest.fixture
def times() -> Callable[[int, int], int]:
    """times(sample, full): how many trials to make."""
    return lambda sample, full: full if FULL else sample


@pytest.fixture
def tell(capsys) -> Callable[[str], None]:
    """tell("300 of 300 …"): print a line of the table that `make torture` shows."""

    def say(line: str) -> None:
        if FULL:
            with capsys.disabled():
                print(f"\n    {line}")

    return say
