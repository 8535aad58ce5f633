import csv
import dataclasses

import numpy as np
import pytest

from deeprob import load_run
from deeprob.figures import OptimizerRaceConfig
from deeprob.figures.of_runs.recorded_metrics import passes, read_metrics
from deeprob.figures.style import png


def column(directory, name):
    with (directory / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file)]


@pytest.fixture
def race(deeprob, small):
    words = ("-m", *small, "dataset.val_fraction=0.2", "optimizer=adam,lbfgs", "seed=0,1", "hydra.sweep.dir=s")
    assert deeprob(*words).status == 0
    names = {"optimizer=adam seed=0": 0, "optimizer=adam seed=1": 1, "optimizer=lbfgs seed=0": 2}
    directories = ["000_optimizer=adam,seed=0", "001_optimizer=adam,seed=1", "002_optimizer=lbfgs,seed=0"]
    return {name: load_run(f"s/{directories[number]}") for name, number in names.items()}


def test_what_is_counted(race):
    adam, lbfgs = race["optimizer=adam seed=0"].directory, race["optimizer=lbfgs seed=0"].directory
    # 72 points in batches of 32 are 3 updates an epoch, each by one evaluation of a third of the data
    assert column(adam, "optim/evaluations") == [3, 6, 9]
    assert passes(read_metrics(adam / "metrics.csv")).tolist() == [1, 2, 3]
    evaluations = column(lbfgs, "optim/evaluations")
    assert evaluations[0] > 3
    assert passes(read_metrics(lbfgs / "metrics.csv")).tolist() == evaluations
    seconds = column(adam, "time/seconds")
    assert 0 < seconds[0] < seconds[1] < seconds[2]


def test_curves_over_epochs_seconds_and_evaluations(race):
    figure = OptimizerRaceConfig().compare(race)
    assert len(figure.axes) == 6
    assert [axes.get_xlabel() for axes in figure.axes[3:]] == [
        "epoch", "seconds of training", "gradient evaluations, in passes over the data",
    ]  # fmt: skip
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["loss", "accuracy (%)"]
    adam, lbfgs = figure.axes[0].lines[0], figure.axes[0].lines[2]
    directories = [run.directory for run in race.values()]
    losses = [column(directory, "train/loss") for directory in directories]
    assert adam.get_ydata() == pytest.approx(np.mean(losses[:2], axis=0))
    assert lbfgs.get_ydata() == pytest.approx(losses[2])
    seconds = [column(directory, "time/seconds") for directory in directories]
    assert figure.axes[1].lines[0].get_xdata() == pytest.approx(np.mean(seconds[:2], axis=0))
    labels = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert labels == ["± standard deviation", "optimizer=adam (2 seeds)", "optimizer=lbfgs"]


def test_a_run_alone_and_one_without_validation(race, deeprob, small):
    run = next(iter(race.values()))
    assert png(OptimizerRaceConfig().draw(run)) == png(OptimizerRaceConfig().draw(run))
    assert deeprob(*small, "hydra.run.dir=alone").status == 0
    axes = OptimizerRaceConfig().draw(load_run("alone")).axes
    assert [a.get_title(loc="left") for a in axes[::3]] == ["train/loss", "train/accuracy"]


def test_a_table_of_an_earlier_version(race, tmp_path):
    run = next(iter(race.values()))
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss\n1,3,0.5\n")
    old = dataclasses.replace(run, directory=tmp_path)
    assert OptimizerRaceConfig().unsuited(run) == ""
    assert OptimizerRaceConfig().unsuited(old) == "needs optim/evaluations and time/seconds in metrics.csv"


def test_seeds_that_stop_at_different_epochs(race):
    first, second = list(race.values())[:2]
    path = first.directory / "metrics.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))  # two of three epochs
    figure = OptimizerRaceConfig().compare({"seed=0": first, "seed=1": second})
    losses = [column(run.directory, "train/loss") for run in (first, second)]
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([*np.mean([losses[0], losses[1][:2]], 0), losses[1][2]])
