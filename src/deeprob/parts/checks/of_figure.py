"""The clauses of a figure."""

import dataclasses

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from deeprob.assembly.config import RunConfig
from deeprob.assembly.finished import Run, load_run
from deeprob.config import name_of
from deeprob.data import RandomRegressionConfig
from deeprob.errors import UserError, one_line
from deeprob.features import RawConfig
from deeprob.figures import FigureConfig
from deeprob.figures.style import png
from deeprob.models import LinearConfig
from deeprob.objective import SquaredErrorConfig
from deeprob.parts.part_trial import (
    Broken,
    Clause,
    PartTrial,
    clause,
    concerns,
    expect,
    expect_same,
    generators,
    states_of_generators,
)
from deeprob.running.run import run

CLAUSES: list[Clause] = []
"""The clauses, in the order in which they are tried."""


def _figure_of(trial: PartTrial) -> FigureConfig:
    """Return the figure of a trial."""
    figure: FigureConfig = trial.part
    return figure


def _finished(trial: PartTrial, name: str, config: RunConfig) -> Run:
    """Return a finished run. It is trained once, in the folder `name` of the trial."""
    directory = trial.folder / name
    if not directory.exists():
        run(config, directory, job="check")
    return load_run(directory)


def _shown(trial: PartTrial, loaded: Run | None) -> Figure:
    """Return the figure of a run, or of no run."""
    with mpl.rc_context():
        drawn = _figure_of(trial).draw(loaded)
    expect(isinstance(drawn, Figure), "draw() to return a matplotlib Figure", type(drawn).__name__)
    return drawn


def _suited(trial: PartTrial) -> Run | None:
    """Return the run of a trial, or None if the figure shows no run.

    Raises
    ------
    UserError
        If the run does not suit the figure.
    """
    if not _figure_of(trial).of_run:
        return None
    loaded = _finished(trial, "run", trial.config)
    if reason := _figure_of(trial).unsuited(loaded):
        raise UserError(f"figure={name_of(trial.part)} {reason}: add other words, such as dataset=NAME or model=NAME")
    return loaded


@clause(CLAUSES, "draw(run) returns a Figure that is no figure of pyplot, and that can be saved")
def _draws(trial: PartTrial) -> None:
    loaded = _suited(trial)
    before = plt.get_fignums()
    png(_shown(trial, loaded))
    opened = len(plt.get_fignums()) - len(before)
    plt.close("all")
    expect(not opened, "matplotlib.figure.Figure(), which pyplot does not keep", f"{opened} open figures of pyplot")


@clause(CLAUSES, "Drawing twice gives the same picture, whatever the state of the global generators is")
def _same_again(trial: PartTrial) -> None:
    loaded = _suited(trial)
    pictures = []
    for state in (1, 2):
        with generators(state):
            pictures.append(png(_shown(trial, loaded)))
    expect(pictures[0] == pictures[1], "the same picture twice", "another")


@clause(CLAUSES, "Drawing changes neither the model, nor the global generators, nor the settings of matplotlib")
def _leaves_all(trial: PartTrial) -> None:
    loaded = _suited(trial)
    model = None if loaded is None else loaded.model
    weights = {} if model is None else {name: value.clone() for name, value in model.state_dict().items()}
    settings, states = mpl.rcParams.copy(), states_of_generators()
    png(_figure_of(trial).draw(loaded))
    changed = [key for key, value in settings.items() if key != "backend" and mpl.rcParams[key] != value]
    mpl.rcParams.update({key: settings[key] for key in changed})
    expect(
        not changed,
        "the same settings of matplotlib (draw within deeprob.parts.drawn)",
        f"another {', '.join(changed[:3])}",
    )
    expect_same(states_of_generators(), states, "in the global generators")
    if model is not None:
        expect_same(dict(model.state_dict()), weights, "in the model")
        expect(not model.training, "the model in evaluation mode", "in training mode")
        grads = [name for name, value in model.named_parameters() if value.grad is not None]
        expect(not grads, "no gradients in the model", ", ".join(grads))


@clause(CLAUSES, "Several runs are drawn side by side")
def _several(trial: PartTrial) -> None:
    figure = _figure_of(trial)
    concerns(figure.of_run, "it shows no run")
    loaded = _suited(trial)
    assert loaded is not None
    both = figure.compare({"model.width=1": loaded, "model.width=2": loaded})
    expect(isinstance(both, Figure), "compare() to return a matplotlib Figure", type(both).__name__)
    png(both)
    for frame, seconds in figure.film(loaded):
        expect(frame.ndim == 3 and seconds > 0, "frames (H, W, 3) and seconds", (frame.shape, seconds))
        break


@clause(CLAUSES, "unsuited() gives a reason if it cannot show a linear model, or numbers to predict")
def _other_runs(trial: PartTrial) -> None:
    figure = _figure_of(trial)
    concerns(figure.of_run, "it shows no run")
    linear = dataclasses.replace(trial.config, model=LinearConfig())
    numbers = dataclasses.replace(
        linear,
        dataset=RandomRegressionConfig(examples=20, test_examples=10, inputs=7, outputs=2),
        features=RawConfig(),
        loss=SquaredErrorConfig(),
        trainer=dataclasses.replace(linear.trainer, monitor="val/loss"),
    )
    for kind, config in (("a linear model", linear), ("numbers to predict", numbers)):
        loaded = _finished(trial, kind, config)
        reason = figure.unsuited(loaded)
        expect(isinstance(reason, str), "unsuited() to return a text", type(reason).__name__)
        if not reason:
            try:
                png(_shown(trial, loaded))
            except Exception as error:
                came = f"none, and {type(error).__name__}: {one_line(error)}"
                raise Broken(f"expected a reason from unsuited() for a run with {kind}, came {came}") from error
