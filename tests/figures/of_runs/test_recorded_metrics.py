import math
import statistics

import numpy as np
import pytest

from deeprob.errors import UserError
from deeprob.figures.of_runs.recorded_metrics import metric_curve, quantity, read_metrics


def table(loss, steps=10):
    epochs = np.arange(1.0, len(loss) + 1)
    return {"epoch": epochs, "step": steps * epochs, "val/loss": np.array(loss, float)}


def test_a_table_is_read_with_nan_for_what_was_not_measured(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,train/loss,val/loss\r\n1,9,0.5,\r\n2,18,2.5e-1,nan\r\n")
    content = read_metrics(path)
    assert {name: values.tolist() for name, values in content.items() if name != "val/loss"} == {
        "epoch": [1, 2],
        "step": [9, 18],
        "train/loss": [0.5, 0.25],
    }
    assert np.isnan(content["val/loss"]).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "missing; a run writes metrics.csv from its first epoch on, if trainer.trackers has csv"),
        (b"", "no names of columns in line 1"),
        (b"1,9,0.5\n", "no names of columns in line 1"),
        (b"epoch,step,val/loss\n", "no epoch in it yet"),
        (b"epoch,step,val/loss\n1,9,0.5\n2,18\n", "line 3 has 2 cells, not 3"),
        (b"epoch,step,val/loss\n1,9,0.5,7\n", "line 2 has 4 cells, not 3"),
        (b"epoch,step,val/loss\n1,9,much\n", "val/loss in line 2 is much"),
        (b"epoch,step,val/loss\n1,,0.5\n", "step in line 2 is empty"),
        (b"epoch,step,val/loss\n1,9,\xff\n", "damaged"),
        (b"epoch,step,val/loss\n1,9,\x00\n", "val/loss in line 2"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, content, words):
    path = tmp_path / "metrics.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_metrics(path)
    line = str(raised.value)
    assert line.startswith(f"{path}: {words}")
    assert ("expected the metrics.csv of a run" in line) is (content is not None)
    assert line.count("\n") == 0


def test_mean_and_deviation_by_hand():
    x, mean, deviation = metric_curve([table([1, 2]), table([3, 8])], "val/loss")
    assert x.tolist() == [1, 2]
    assert mean.tolist() == [2, 5]
    assert deviation.tolist() == pytest.approx([math.sqrt(2), math.sqrt(18)])  # (1 + 1) / 1 and (9 + 9) / 1


def test_each_epoch_is_of_the_runs_that_came_so_far():
    runs = [[4, 1, 7, 2], [8, 2], [6, 9, 1]]
    x, mean, deviation = metric_curve([table(run) for run in runs], "val/loss", "step")
    assert x.tolist() == [10, 20, 30, 40]
    assert mean.tolist() == [6, 4, 4, 2]
    expected = [statistics.stdev(values) for values in ([4, 8, 6], [1, 2, 9], [7, 1])]
    assert deviation[:3].tolist() == pytest.approx(expected)
    assert np.isnan(deviation[3])  # one run alone


def test_what_is_not_finite_or_not_there_counts_for_nothing():
    _, mean, deviation = metric_curve(
        [table([1, math.nan]), table([3, math.inf]), {"epoch": np.arange(1.0, 3)}], "val/loss"
    )
    assert mean[0] == 2
    assert deviation[0] == pytest.approx(math.sqrt(2))
    assert np.isnan([mean[1], deviation[1]]).all()


def test_one_run_is_itself_without_a_deviation():
    _, mean, deviation = metric_curve([table([1, 2])], "val/loss")
    assert mean.tolist() == [1, 2]
    assert np.isnan(deviation).all()


def test_losses_share_an_axis():
    names = ("train/loss", "train/data_loss", "train/regularization", "val/loss", "val/accuracy", "optim/lr")
    assert [quantity(name) for name in names] == ["loss"] * 4 + ["accuracy", "lr"]
