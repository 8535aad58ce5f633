"""When the loop yields records."""

import pytest

from deeprob.training.learner import LoopSettings


def settings(log_every: int, pause_every: int = 0) -> LoopSettings:
    return LoopSettings(epochs=3, batch_size=5, chunk_size=10, log_every=log_every, pause_every=pause_every)


def walk(loop: LoopSettings, last: int) -> list[int]:
    """The updates after which records come, with 5 updates an epoch."""
    steps = [0]
    while steps[-1] < last:
        steps.append(loop.next_record(steps[-1], 5))
    return steps[1:]


@pytest.mark.parametrize(
    ("log_every", "pause_every", "steps"),
    [
        (2, 0, [2, 4, 5, 6, 8, 10]),
        (100, 0, [5, 10]),
        (100, 3, [3, 5, 6, 9, 10]),
        (4, 3, [3, 4, 5, 6, 8, 9, 10]),
        (1, 7, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
    ],
)
def test_records_are_due_at_intervals_at_pauses_and_at_the_end_of_an_epoch(log_every, pause_every, steps):
    assert walk(settings(log_every, pause_every), 10) == steps


def test_a_pause_is_no_reading():
    loop = settings(4, 3)
    assert [step for step in range(1, 11) if loop.read_at(step, 5)] == [4, 5, 8, 10]
    assert [step for step in range(1, 11) if loop.paused_at(step)] == [3, 6, 9]
    assert not any(settings(4).paused_at(step) for step in range(1, 11))
