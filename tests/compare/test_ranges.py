"""Ranges in place of the numbers that a search has drawn."""

import pytest

from deeprob.compare.effects import effects, heat_map
from deeprob.compare.groups import group_runs
from deeprob.compare.past_runs import PastRun
from deeprob.compare.ranges import in_ranges

KEYS = ["optimizer.lr", "model.width", "seed"]


def run(lr: float, accuracy: float, width: int = 8, seed: int = 0) -> PastRun:
    values = {"optimizer.lr": lr, "model.width": width, "seed": seed}
    return PastRun(None, values, "completed", {"val/accuracy": accuracy})


def values(runs: list[PastRun], key: str = "optimizer.lr") -> list[str]:
    return [group.values[key] for group in in_ranges(group_runs(runs, KEYS))]


def test_four_ranges_of_equally_many_values():
    rates = [12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    named = ["10 to 12", *["1 to 3"] * 3, *["4 to 6"] * 3, *["7 to 9"] * 3, *["10 to 12"] * 2]
    assert values([run(float(rate), 0.5) for rate in rates]) == named


def test_three_digits_tell_the_ends():
    rates = [1.23456e-5 * 1.5**place for place in range(12)]
    assert values([run(rate, 0.5) for rate in rates])[0] == "1.23e-5 to 2.78e-5"


@pytest.mark.parametrize(
    "runs",
    [
        [run(float(rate), 0.5) for rate in range(8)],  # few values
        [run(float(rate), 0.5, seed=seed) for rate in range(12) for seed in (0, 1)],  # a grid with seeds
        [run(float(rate), 0.5, width=width) for rate in range(12) for width in (4, 8)],  # a grid of two keys
    ],
)
def test_a_grid_keeps_its_values(runs):
    groups = group_runs(runs, KEYS)
    assert in_ranges(groups) == groups


def test_words_keep_their_place():
    runs = [run(float(rate), 0.5, width=(4, 8)[rate % 2]) for rate in range(12)]
    assert values(runs, "model.width") == ["4", "8"] * 6


def test_effects_and_heat_maps_of_ranges_are_in_order():
    runs = [run(10.0**-place, float(place >= 6), width=(4, 8)[place % 2]) for place in range(12)]
    ranges = in_ranges(group_runs(runs, KEYS))
    lr, width = effects(ranges, "val/accuracy")
    assert (lr.key, lr.share, width.share) == ("optimizer.lr", 1.0, 0.0)
    assert [(level.word, level.mean) for level in lr.levels] == [
        ("1e-11 to 1e-9", 1.0),
        ("1e-8 to 1e-6", 1.0),
        ("1e-5 to 0.001", 0.0),
        ("0.01 to 1", 0.0),
    ]
    assert heat_map(ranges, "val/accuracy", "optimizer.lr", "model.width").row_words == [
        level.word for level in lr.levels
    ]
