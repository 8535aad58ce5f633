import numpy as np
import pytest

from deeprob.training.trackers import Tracker, TrackerConfig
from deeprob.training.trackers.base import is_position, length_in


@pytest.mark.parametrize("value", [{}, {"length": 0, "run": "a1"}, {"length": 2**63 - 1}])
def test_words_and_whole_numbers_are_a_position(value):
    assert is_position(value)


@pytest.mark.parametrize("value", [None, [], {"length": -1}, {"length": 2**63}, {"x": 1.5}, {"x": True}, {1: 1}])
def test_anything_else_is_not(value):
    assert not is_position(value)


def test_a_length_is_read_from_a_position():
    assert [length_in(position) for position in ({"length": 7}, {}, {"length": "7"})] == [7, 0, 0]


def test_a_tracker_needs_no_method_of_its_own_and_begins_again_when_a_run_goes_on(about):
    began = []

    class Own(Tracker):
        def begin(self, about):
            began.append(about.name)

    tracker = Own()
    tracker.go_on(about(), {})
    tracker.scalars({"train/loss": 1.0}, 1, 1)
    tracker.epoch({"epoch": 1, "step": 1})
    tracker.image("figures/x", b"", 1)
    tracker.histogram("weights/x", np.zeros(3), 1)
    tracker.best({}, 1)
    tracker.finished({"status": "completed"})
    tracker.flush()
    tracker.close()
    tracker.discard()
    assert tracker.position() == {}
    assert began == ["spirals-mlp-adamw"]
    assert not TrackerConfig.essential
    with pytest.raises(AssertionError, match="defines build"):
        TrackerConfig().build()
