import csv
import dataclasses
import io
import statistics

import numpy as np
import pytest
from matplotlib.colors import to_hex
from omegaconf import OmegaConf
from PIL import Image

from deeprob import load_run
from deeprob.config import load
from deeprob.errors import UserError
from deeprob.figures.of_runs.learning_curves import LABELS, LearningCurvesConfig, usual_x
from deeprob.figures.of_runs.recorded_metrics import WRITTEN, quantity
from deeprob.figures.style import palette_color, png
from deeprob.tracking.run_dir import COLUMNS


def column(directory, name):
    with (directory / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def curves(axes):
    """Return the lines on axes that are no marks."""
    return [line for line in axes.lines if line.get_linestyle() != "None"]


def marks(axes):
    """Return where the marks on axes are."""
    return [tuple(point) for line in axes.lines if line.get_linestyle() == "None" for point in line.get_xydata()]


def legend(figure, number=0):
    return [text.get_text() for text in figure.legends[number].get_texts()]


def is_cut(figure):
    """Tell whether something on a figure goes on beyond its edge."""
    pixels = np.asarray(Image.open(io.BytesIO(png(figure))).convert("L"))
    return any((edge < 255).any() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.fixture
def runs(one_run, tmp_path):
    """Make runs of made-up losses and accuracies of the validation split: runs([[1.0, 0.5], …])."""

    def make(*losses):
        made = []
        for number, values in enumerate(losses):
            directory = tmp_path / f"made-{number}"
            directory.mkdir()
            rows = [f"{n},{10 * n},{value},{1 - value / 10}" for n, value in enumerate(values, 1)]
            (directory / "metrics.csv").write_text("\n".join(["epoch,step,val/loss,val/accuracy", *rows]))
            made.append(dataclasses.replace(load_run(one_run), directory=directory, metrics={"best_epoch": 2}))
        return made

    return make


def test_curves_are_those_of_the_table(one_run):
    figure = LearningCurvesConfig().draw(load_run(one_run))
    loss, accuracy = figure.axes
    for axes, measure, share in ((loss, "loss", 1), (accuracy, "accuracy", 100)):
        train, val = curves(axes)
        assert train.get_xdata().tolist() == val.get_xdata().tolist() == [1, 2, 3]
        assert train.get_ydata().tolist() == pytest.approx([share * v for v in column(one_run, f"train/{measure}")])
        assert val.get_ydata().tolist() == pytest.approx([share * v for v in column(one_run, f"val/{measure}")])
        assert (train.get_linestyle(), val.get_linestyle()) == ("-", "--")
        assert axes.get_xlabel() == "epoch"
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy (%)")
    assert not is_cut(figure)


def test_the_best_epoch_is_marked_on_the_curves_of_the_validation_split(one_run):
    run = load_run(one_run)
    best = run.metrics["best_epoch"]
    figure = LearningCurvesConfig().draw(run)
    loss, accuracy = figure.axes
    assert marks(loss) == [(best, pytest.approx(column(one_run, "val/loss")[best - 1]))]
    assert marks(accuracy) == [(best, pytest.approx(100 * column(one_run, "val/accuracy")[best - 1]))]
    assert legend(figure) == ["train", "val", f"best epoch: {best}"]


def test_the_best_epoch_over_steps(runs):
    (run,) = runs([3, 1, 2])
    loss, accuracy = LearningCurvesConfig(x="step").draw(run).axes
    assert marks(loss) == [(20, 1)]
    assert marks(accuracy) == [(20, pytest.approx(90))]
    assert curves(loss)[0].get_xdata().tolist() == [10, 20, 30]
    assert loss.get_xlabel() == "step"


def test_runs_are_compared_by_evaluations_if_some_steps_had_several(runs):
    adam, lbfgs, unknown = runs([4, 1], [3, 2], [5, 6])
    for run, evaluations in ((adam, (10, 20)), (lbfgs, (30, 50))):
        rows = [f"{n},{10 * n},{n},{count}" for n, count in enumerate(evaluations, 1)]
        (run.directory / "metrics.csv").write_text("\n".join(["epoch,step,val/loss,optim/evaluations", *rows]))
    (axes,) = LearningCurvesConfig().compare({"adam": adam, "lbfgs": lbfgs}).axes
    assert axes.get_xlabel() == "gradient evaluations, in passes over the data"
    assert [line.get_xdata().tolist() for line in curves(axes)] == [[1, 2], [3, 5]]
    assert LearningCurvesConfig().draw(adam).axes[0].get_xlabel() == "epoch"
    assert LearningCurvesConfig(x="epoch").draw(lbfgs).axes[0].get_xlabel() == "epoch"
    assert usual_x([lbfgs, unknown]) == "epoch"  # which is nowhere on an axis of evaluations


def test_without_a_validation_split_nothing_is_marked(deeprob, small):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    figure = LearningCurvesConfig().draw(load_run("run"))
    assert [len(curves(axes)) for axes in figure.axes] == [1, 1]
    assert [marks(axes) for axes in figure.axes] == [[], []]
    assert legend(figure) == ["train"]


def test_regression_has_no_accuracy(deeprob):
    words = ("dataset=random_regression", "loss=squared_error", "trainer.epochs=2", "hydra.run.dir=run")
    assert deeprob(*words).status == 0
    (axes,) = LearningCurvesConfig().draw(load_run("run")).axes
    assert axes.get_ylabel() == "loss"


def test_mean_and_band_by_hand(runs):
    first, second, third, other = runs([4, 1, 7], [8, 2], [6, 9], [5, 5])
    titles = {"width=8 seed=0": first, "width=8 seed=1": second, "width=8 seed=2": third, "width=9 seed=0": other}
    figure = LearningCurvesConfig().compare(titles)
    loss, _ = figure.axes
    mean, alone = curves(loss)
    assert mean.get_xydata().tolist() == [[1, 6], [2, 4], [3, 7]]
    assert alone.get_xydata().tolist() == [[1, 5], [2, 5]]
    assert [mean.get_color(), alone.get_color()] == [palette_color(0), palette_color(1)]
    (band,) = [path for collection in loss.collections for path in collection.get_paths()]  # one run alone has none
    deviations = {1: statistics.stdev([4, 8, 6]), 2: statistics.stdev([1, 2, 9])}
    edges = {(x, {1: 6, 2: 4}[x] + sign * deviations[x]) for x in (1, 2) for sign in (-1, 1)}
    found = {tuple(point) for point in band.vertices.tolist()}
    assert {x for x, _ in found} == {1, 2}  # in the third epoch there is one run alone
    assert all(any(point == pytest.approx(edge) for point in found) for edge in edges)
    assert to_hex(loss.collections[0].get_facecolor()[0]) == palette_color(0)
    assert marks(loss) == [(2, 5)]  # seeds together have no one best epoch
    assert legend(figure) == ["val", "± standard deviation", "best epoch"]
    assert legend(figure, 1) == ["width=8 (3 seeds)", "width=9"]


def test_long_titles_fit(runs):
    made = runs(*[[2, 1]] * 10)
    title = "model.hidden=[64,64,64,64] model.activation=relu optimizer.weight_decay="
    titles = {f"{title}{number}": run for number, run in enumerate(made[:9])}
    titles["x" * 200] = made[9]
    figure = LearningCurvesConfig(curves=10).compare(titles)
    assert not is_cut(figure)
    assert len(legend(figure, 1)) == len({line.get_color() for line in figure.axes[0].lines}) == 10


def test_names_that_are_long_have_what_differs_in_them(runs):
    common = " ".join(f"model.part_{number}=[64,64]" for number in range(9))
    titles = {f"{common} width={number} {common[::-1]}": run for number, run in enumerate(runs([2, 1], [3, 1]))}
    assert legend(LearningCurvesConfig().compare(titles), 1) == ["width=0", "width=1"]


@pytest.mark.parametrize(
    ("losses", "log", "scale"),
    [
        ([1, 0.0101], None, "linear"), ([1, 0.01], None, "log"), ([1, 0.0, 0.5], None, "linear"),
        ([1, 0.01], False, "linear"), ([1, 0.9], True, "log"),
    ],
)  # fmt: skip
def test_the_scale_of_losses(runs, losses, log, scale):
    (run,) = runs(losses)
    loss, accuracy = LearningCurvesConfig(log=log).draw(run).axes
    assert (loss.get_yscale(), accuracy.get_yscale()) == (scale, "linear")


def test_metrics_of_ones_choice(one_run):
    assert {quantity(name) for name in COLUMNS[2:]} == set(LABELS)
    names = ["optim/lr", "val/loss", "train/data_loss", "optim/lr"]
    figure = LearningCurvesConfig(metrics=names).draw(load_run(one_run))
    assert [axes.get_ylabel() for axes in figure.axes] == ["learning rate", "loss"]
    assert [len(curves(axes)) for axes in figure.axes] == [1, 2]
    assert curves(figure.axes[0])[0].get_ydata().tolist() == column(one_run, "optim/lr")
    assert legend(figure)[:2] == ["val", "train, without λR(W)"]
    assert len(LearningCurvesConfig(metrics=[*names, "params/norm"]).draw(load_run(one_run)).axes) == 3
    assert len(LearningCurvesConfig(metrics=["params/norm"]).draw(load_run(one_run)).axes) == 1


def test_metrics_that_were_not_measured(runs):
    (run,) = runs([1])
    (epoch,) = curves(LearningCurvesConfig(metrics=["val/loss"]).draw(run).axes[0])
    assert epoch.get_marker() == "o"  # a line of one point would not be seen
    with pytest.raises(UserError) as raised:
        LearningCurvesConfig(metrics=["train/loss"]).draw(run)
    path = run.directory / "metrics.csv"
    assert str(raised.value) == f"{path}: no values of train/loss; choose from val/loss, val/accuracy"


def test_a_metric_that_there_is_not():
    with pytest.raises(UserError) as raised:
        load(LearningCurvesConfig, OmegaConf.structured(LearningCurvesConfig(metrics=["val/los"])))
    assert str(raised.value) == "metrics=val/los: no such column of metrics.csv; did you mean val/loss?"


def test_a_run_without_a_table(runs):
    (run,) = runs([1])
    path = run.directory / "metrics.csv"
    assert LearningCurvesConfig().unsuited(run) == ""
    path.unlink()
    assert LearningCurvesConfig().unsuited(run) == f"needs {path}: {WRITTEN}"
    with pytest.raises(UserError, match=r"metrics\.csv: missing; .* if trainer\.trackers has csv"):
        LearningCurvesConfig().draw(run)


def test_it_is_drawn_the_same_twice(one_run):
    run = load_run(one_run)
    assert png(LearningCurvesConfig().draw(run)) == png(LearningCurvesConfig().draw(run))
    files = [png(LearningCurvesConfig().compare({"seed=0": run, "seed=1": run})) for _ in range(2)]
    assert files[0] == files[1]
