"""Figures of a run for Python. What else such a run has is tested in tests/test_api.py."""

import dataclasses
import re
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from deeprob.api import load_run, train
from deeprob.errors import UserError
from deeprob.running.trained import IN_MEMORY, TrainedRun


@pytest.fixture(params=["directory", "memory"])
def run(request, finished_run) -> TrainedRun:
    """The same run, with its files and without."""
    found = load_run(finished_run)
    rows = (finished_run / "metrics.csv").read_text()
    return found if request.param == "directory" else dataclasses.replace(found, directory=IN_MEMORY, rows=rows)


def test_a_figure_has_its_settings(run):
    backend = mpl.get_backend(auto_select=False)
    figure = run.figure("learning_curves", x="step")
    assert isinstance(figure, Figure)
    assert figure.axes[0].get_xlabel() == "step"
    assert mpl.get_backend(auto_select=False) == backend
    assert not Path("the run").exists()


def test_mistakes_in_figures(run):
    with pytest.raises(UserError, match="figure: no figure is called decision_boundry; did you mean decision_boundary"):
        run.figure("decision_boundry")
    with pytest.raises(UserError, match="figure: learning_curves z=1: z: no such key"):
        run.figure("learning_curves", z=1)
    with pytest.raises(UserError, match="figure=hog needs features=hog"):
        run.figure("hog")


def test_a_run_without_csv_says_why_it_has_no_history():
    run = train("trainer.epochs=1 dataset.points_per_class=9 trainer.trackers=[jsonl]", progress=False)
    with pytest.raises(UserError, match=re.escape("history: the run has none; a run writes metrics.csv from")):
        _ = run.history
