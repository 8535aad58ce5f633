"""Measures of a sweep's finished jobs, besides loss and accuracy."""

from collections.abc import Callable, Mapping

import torch

from deeprob.analysis.landscape.search import EXAMPLES, kind_measures, search_kinds
from deeprob.analysis.plane import boundary_length, limits_of
from deeprob.analysis.separability import separability
from deeprob.assembly.finished import Run
from deeprob.assembly.landscape_of import landscape_of
from deeprob.data import Examples
from deeprob.errors import CheckFailed


def boundary(run: Run) -> dict[str, float]:
    """Return the length of the decision boundary, inside the part of the plane that holds the training data.

    Raises
    ------
    CheckFailed
        If the run's inputs are not points in the plane, or if there are no classes.
    """
    if not run.classes or run.predictor.input_shape != (2,):
        raise CheckFailed("sweep.measures=[boundary] needs points of the plane with classes")
    return {"boundary/length": boundary_length(run, limits_of(run.examples("train").inputs))}


@torch.no_grad()
def probe(run: Run) -> dict[str, float]:
    """For each stage of the model, train a linear classifier on the outputs of the stage. Return the test accuracies.

    The stages are called ``linear_1``, ``hidden_1``, …, ``scores``. The names do not depend on the activation.

    Raises
    ------
    CheckFailed
        If the run predicts numbers.
    """
    if not run.classes:
        raise CheckFailed("sweep.measures=[probe] needs classes, and the runs predict numbers")
    train, test = (run.examples(split) for split in ("train", "test"))
    stages = zip(*(run.model.stages(run.features_of(split)) for split in ("train", "test")), strict=True)
    return {
        f"probe/{shared_name(name)}": separability(Examples(seen, train.targets), Examples(unseen, test.targets))
        for (name, seen), (_, unseen) in stages
    }


def shared_name(stage: str) -> str:
    """Return ``hidden_2`` for an activation such as ``relu 2``; in other stage names, replace the space by ``_``."""
    kind, _, depth = stage.partition(" ")
    return f"hidden_{depth}" if depth and kind != "linear" else stage.replace(" ", "_")


def slices(run: Run) -> dict[str, float]:
    """Return numbers about the loss of a run on lines in weight space (see `deeprob.analysis.landscape.kinds`)."""
    landscape = landscape_of(run, "train", EXAMPLES, 0, torch.float64)
    return {f"slices/{name}": value for name, value in kind_measures(search_kinds(landscape).found).items()}


MEASURES: Mapping[str, Callable[[Run], dict[str, float]]] = {"boundary": boundary, "probe": probe, "slices": slices}
"""The options of ``sweep.measures``. Each option adds columns to the table, such as ``boundary/length``."""
