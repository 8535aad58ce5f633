"""Numbers of several seeds as one."""

import pytest

from deeprob.sweeps.table import spread


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("test/accuracy", [0.5, 0.52, 0.54], "52.00 ± 2.00 %"),
        ("time/seconds", [1.0, 3.0], "2.00 ± 1.41 s"),
        ("train/loss", [0.25, 0.75], "0.5000 ± 0.3536"),
        ("features/count", [9, 9, 9], "9"),
        ("test/accuracy", [0.5], "50.00 %"),
        ("test/accuracy", [], ""),
    ],
)
def test_mean_and_deviation(name, values, text):
    assert spread(name, values) == text
