import json
import math

from deeprob.training.trackers import JSONLinesConfig


def strict(line: str) -> dict:
    """The object in a line; NaN and Infinity, which are not JSON, are refused."""
    return json.loads(line, parse_constant=lambda word: 1 / 0)


def test_a_record_is_a_line_of_finite_json(about):
    tracker = JSONLinesConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5, "optim/lr": math.nan}, 3, 1)
    tracker.scalars({"val/loss": math.inf}, 3, 1)  # of the same record
    tracker.flush()
    tracker.scalars({"units/relu_1_dead": 0.25}, 3, 1)
    tracker.scalars({"train/loss": 0.125}, 6, 2)
    tracker.close()
    assert [strict(line) for line in (about().directory / "metrics.jsonl").read_text().splitlines()] == [
        {"step": 3, "epoch": 1, "train/loss": 0.5, "optim/lr": None, "val/loss": None},
        {"step": 3, "epoch": 1, "units/relu_1_dead": 0.25},
        {"step": 6, "epoch": 2, "train/loss": 0.125},
    ]


def test_lines_after_the_checkpoint_are_cut(about):
    path = about().directory / "metrics.jsonl"
    tracker = JSONLinesConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5}, 3, 1)
    position = tracker.position()  # has the line that no flush has ended
    content = path.read_bytes()
    tracker.scalars({"train/loss": 0.25}, 6, 2)
    tracker.close()
    assert position == {"length": len(content)} != {"length": 0}
    assert len(path.read_text().splitlines()) == 2
    later = JSONLinesConfig().build()
    later.go_on(about(), position)
    later.close()
    assert path.read_bytes() == content


def test_what_is_discarded_is_never_written(about):
    tracker = JSONLinesConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5}, 3, 1)
    tracker.discard()
    tracker.close()
    assert not (about().directory / "metrics.jsonl").exists()
