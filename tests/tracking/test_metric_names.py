import pytest

from deeprob.tracking.metric_names import is_recall, is_share, measure_of, more_is_better, unbalanced


@pytest.mark.parametrize(
    ("metric", "more"),
    [("val/accuracy", True), ("probe/hidden_1", True), ("time/examples_per_second", True), ("test/loss", False),
     ("boundary/length", False), ("time/seconds", False), ("val/balanced_accuracy", True), ("val/f1", True),
     ("test/auroc", True), ("val/top5", True), ("val/ece", False), ("val/recall/a loss", True), ("val/r2", True),
     ("val/mae", False), ("val/rmse", False), ("params/zeros", False)],
)  # fmt: skip
def test_which_way_is_better(metric, more):
    assert more_is_better(metric) is more


def test_shares_are_shown_in_percent():
    shares = ["val/accuracy", "test/balanced_accuracy", "val/top5", "val/recall/a/b", "params/zeros", "probe/1"]
    assert all(map(is_share, [*shares, "accuracy"]))
    assert not any(map(is_share, ["val/f1", "val/auroc", "val/ece", "val/r2", "val/loss", "boundary/accuracy_length"]))


def test_a_recall_has_a_split_and_a_class():
    assert is_recall("val/recall/cat")
    assert is_recall("test/recall/a/b")
    assert not any(map(is_recall, ["val/recall/", "val/recall", "recall/cat", "x/recall/cat", "val/f1"]))
    assert measure_of("val/recall/a/b") == "recall/a/b"


def test_classes_are_unbalanced_above_three_to_two():
    assert not unbalanced({})
    assert not unbalanced({"classes/imbalance": 1.5})
    assert unbalanced({"classes/imbalance": 1.51})
