import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.figures import LossSliceConfig
from deeprob.figures.style import png


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def lines(figure):
    (axes,) = figure.axes
    return [line.get_xydata() for line in axes.lines if not str(line.get_label()).startswith("_")]


def test_random_lines_meet_at_the_run(one_run):
    run = load_run(one_run)
    figure = LossSliceConfig(points=11).draw(run)
    drawn = lines(figure)
    assert len(drawn) == 5
    for line in drawn:
        assert line[5] == pytest.approx([0, run.evaluate("train")["loss"]], rel=1e-5)
    assert len({line[0, 1] for line in drawn}) == 5
    (axes,) = figure.axes
    assert axes.get_title(loc="left").startswith("L(W) over 72 train examples: ")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("distance along the direction (filter-normalised)", "L(W)")


def test_the_line_to_the_start_begins_there(deeprob, small):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    assert deeprob(*small, "optimizer.lr=1e-300", "hydra.run.dir=start").status == 0
    run, start = load_run("run"), load_run("start")
    for config in (LossSliceConfig(direction="start", points=7), LossSliceConfig(other="start", points=7)):
        (line,) = lines(config.draw(run))
        assert line[[1, 5], 0] == pytest.approx([0, 1])
        assert line[1, 1] == pytest.approx(run.evaluate("train")["loss"], rel=1e-5)
        assert line[5, 1] == pytest.approx(start.evaluate("train")["loss"], rel=1e-5)


def test_down_the_gradient_the_loss_falls_at_first(deeprob, small):
    assert deeprob(*small, "trainer.epochs=1", "hydra.run.dir=run").status == 0
    (line,) = lines(LossSliceConfig(direction="gradient", radius=1e-3, points=3).draw(load_run("run")))
    assert line[0, 1] > line[1, 1] > line[2, 1]


def test_a_regression_and_a_run_with_l1(deeprob):
    words = ("dataset=random_regression", "dataset.inputs=5", "loss=squared_error", "regularizer=l1")
    assert deeprob(*words, "trainer.epochs=1", "hydra.run.dir=run").status == 0
    (line,) = lines(LossSliceConfig(directions=1, points=3, normalise="none").draw(load_run("run")))
    assert np.isfinite(line).all()


def test_it_is_drawn_the_same_twice_and_by_the_command(one_run, deeprob):
    assert len({png(LossSliceConfig(points=9).draw(load_run(one_run))) for _ in range(2)}) == 1
    result = deeprob(f"run={one_run}", "figure=loss_slice", "figure.points=5", command="visualize")
    assert (result.status, result.err) == (0, "")
    assert (one_run / "figures/loss_slice.png").stat().st_size > 1000


def test_what_it_does_not_suit(deeprob, small):
    for name, words in {"a": ("model.norm=batch",), "b": (), "c": ("model.width=9",)}.items():
        assert deeprob(*small, *words, f"hydra.run.dir={name}").status == 0
    assert LossSliceConfig().unsuited(load_run("a")) == ""
    assert LossSliceConfig(direction="start").unsuited(load_run("a")).startswith("cannot leave the run's weights")
    status, _, err = deeprob("run=b", "figure=loss_slice", "figure.other=c", command="visualize")
    assert status == 2
    assert err == (
        "error: figure=loss_slice needs figure.other of the run's own architecture, and c has "
        "model.width=9 in place of 8\n"
    )
    with pytest.raises(UserError, match="nowhere: no run there"):
        LossSliceConfig(other="nowhere").unsuited(load_run("b"))
