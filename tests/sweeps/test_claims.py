import pytest

from deeprob.errors import UserError
from deeprob.sweeps.claims import read

ROWS = [
    {"model.width": width, "seed": seed, "train/accuracy": accuracy}
    for width, accuracies in (("3", (0.6, 0.7, 0.8)), ("6", (0.75, 0.9, 0.7)), ("20", (0.99, 0.81, 1.0)))
    for seed, accuracy in zip("012", accuracies, strict=True)
]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("train/accuracy rises with model.width", True),  # medians 0.7, 0.75, 0.99
        ("train/accuracy falls with model.width", False),
        ("train/accuracy rises with seed", False),  # medians 0.75, 0.81, 0.8
        ("train/accuracy of model.width=20 exceeds model.width=3", True),  # 0.81 above 0.8
        ("train/accuracy of model.width=6 exceeds model.width=3", False),  # 0.7 below 0.8
        ("train/accuracy >= 0.99 for model.width=20", True),
        ("train/accuracy > 0.99 for model.width=20", False),
        ("train/accuracy < 0.76 for model.width=6", True),
        ("train/accuracy <= 0.8", True),  # the median of all nine
        ("train/accuracy <= 0.79", False),
        ("train/accuracy >= 0.5 for model.width=99", None),
        ("train/accuracy of model.width=20 exceeds model.width=99", None),
        ("test/accuracy rises with model.width", None),
        ("train/accuracy >= 1 for model.width=20 and seed=2", True),
        ("train/accuracy >= 1 for model.width=20 and seed=1", False),
        ("train/accuracy of model.width=20 and seed=2 exceeds model.width=6 and seed=1", True),
        ("train/accuracy of model.width=6 and seed=1 exceeds model.width=20 and seed=2", False),
        ("train/accuracy of model.width=20.0 equals model.width=2e1", True),  # the same numbers
        ("train/accuracy of seed=0 equals seed=1", False),
        ("train/accuracy of seed=0 equals seed=9", None),
    ],
)
def test_claims(text, holds):
    assert read(text).check(ROWS).holds is holds


def test_the_numbers_that_tell():
    assert read("train/accuracy rises with model.width").check(ROWS).measured == [
        ("model.width=3", 0.7), ("model.width=6", 0.75), ("model.width=20", 0.99),
    ]  # fmt: skip
    assert read("train/accuracy of model.width=20 exceeds model.width=3").check(ROWS).measured == [
        ("least of model.width=20", 0.81), ("most of model.width=3", 0.8),
    ]  # fmt: skip
    assert read("train/accuracy >= 0.1 for seed=0").check(ROWS).measured == [("seed=0", 0.75)]


def test_equal_is_job_by_job_to_six_digits():
    rows = [{"a": a, "x": x} for a, x in (("1", 1.0), ("1", 2.0), ("2", 1.0), ("2", 2.000001), ("3", 1.0), ("3", 2.1))]
    assert read("x of a=1 equals a=2").check(rows).holds is True
    assert read("x of a=1 equals a=3").check(rows).holds is False
    ((words, apart),) = read("x of a=1 equals a=3").check(rows).measured
    assert (words, apart) == ("largest relative difference", pytest.approx(0.1 / 2.1))


def test_equal_medians_do_not_rise():
    rows = [{"a": "1", "x": 0.5}, {"a": "2", "x": 0.5}]
    assert read("x rises with a").check(rows).holds is False
    assert read("x falls with a").check(rows).holds is False


def test_one_value_tells_nothing():
    assert read("train/accuracy rises with model.width").check(ROWS[:3]).holds is None


@pytest.mark.parametrize("text", ["", "x", "x goes up with y", "x >= much", "x of a exceeds b", "x rises with"])
def test_what_is_no_claim(text):
    with pytest.raises(UserError, match="is not a claim; write METRIC rises with KEY"):
        read(text)


def test_metric_and_keys_are_known_for_checking():
    claim = read("boundary/length of a.b=1 exceeds c=2")
    assert (claim.metric, claim.keys) == ("boundary/length", ("a.b", "c"))
    assert read("x of a=1 and b=2 equals c=3").keys == ("a", "b", "c")
