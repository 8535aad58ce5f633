from deeprob.compare.past_runs import epochs
from deeprob.tracking.run_dir import COLUMNS, SOME
from deeprob.training.trackers import MetricsCSVConfig


def test_rows_have_one_header(about):
    tracker = MetricsCSVConfig().build()
    tracker.begin(about())
    tracker.epoch({"epoch": 1, "step": 10, "train/loss": 0.5})
    tracker.epoch({"epoch": 2, "step": 20, "train/loss": 0.25, "val/loss": 1.0})
    tracker.close()
    lines = (about().directory / "metrics.csv").read_text().splitlines()
    assert lines[0] == ",".join(name for name in COLUMNS if name not in SOME)
    assert lines[1].startswith("1,10,0.5,,,,,,")
    assert lines[2].startswith("2,20,0.25,,,,1.0,")


def test_metrics_of_the_first_row_have_columns(about):
    tracker, row = MetricsCSVConfig().build(), {"val/accuracy": 0.5, "val/f1": 0.25, "val/recall/a,b": 1.0}
    tracker.begin(about())
    tracker.epoch({"epoch": 1, "step": 10, **row})
    position = tracker.position()
    path = about().directory / "metrics.csv"
    lines = path.read_text().splitlines()
    assert "val/accuracy,val/f1,optim/lr" in lines[0]
    assert lines[0].endswith('time/examples_per_second,"val/recall/a,b"')
    later = MetricsCSVConfig().build()
    later.go_on(about(), position)
    later.epoch({"epoch": 2, "step": 20, **row, "val/auroc": 0.5})  # the file has no column for it
    later.close()
    assert list(epochs(path)) == [{"epoch": e, "step": 10 * e, **row} for e in (1, 2)]


def test_a_file_of_an_earlier_version_keeps_its_columns(about):
    old, path = "epoch,step,val/loss,optim/lr", about().directory / "metrics.csv"
    path.write_text(f"{old}\n1,10,0.5,0.1\n")
    tracker = MetricsCSVConfig().build()
    tracker.go_on(about(), {"length": path.stat().st_size})
    tracker.epoch({"epoch": 2, "step": 20, "val/loss": 0.25, "val/f1": 0.5, "optim/lr": 0.2})
    tracker.close()
    assert path.read_text().split() == [old, "1,10,0.5,0.1", "2,20,0.25,0.2"]


def test_rows_after_the_checkpoint_are_cut_and_the_header_comes_again(about):
    path = about().directory / "metrics.csv"
    tracker = MetricsCSVConfig().build()
    tracker.begin(about())
    start = tracker.position()
    tracker.epoch({"epoch": 1, "step": 10})
    first = tracker.position()
    content = path.read_bytes()
    tracker.epoch({"epoch": 2, "step": 20})
    tracker.close()
    assert start == {"length": 0}
    for position, row in ((first, None), (start, {"epoch": 1, "step": 10})):
        later = MetricsCSVConfig().build()
        later.go_on(about(), position)
        if row:
            later.epoch(row)
        later.close()
        assert path.read_bytes() == content


def test_the_first_row_is_seen_at_once_and_the_others_wait(about):
    tracker = MetricsCSVConfig().build()
    tracker.begin(about())
    for epoch in (1, 2):
        tracker.epoch({"epoch": epoch, "step": epoch})
        tracker.flush()
    assert [row["epoch"] for row in epochs(about().directory / "metrics.csv")] == [1]
    tracker.discard()
    tracker.close()
    assert [row["epoch"] for row in epochs(about().directory / "metrics.csv")] == [1]
