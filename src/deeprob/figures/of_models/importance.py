"""Permutation importance: how much worse a model becomes when the values of one column are shuffled."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob import randomness
from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.figures.base import FigureConfig
from deeprob.figures.caps import in_words, some_of
from deeprob.figures.of_models.predicted_against_true import rounded, some_examples, subscript
from deeprob.figures.style import FAINT, INK, LETTER, PALETTE, breadth, shortened

BARS = 25
"""The largest number of columns that are shown."""


@register("figure", "importance")
@dataclass(kw_only=True, slots=True)
class ImportanceConfig(FigureConfig):
    """The permutation importance of each column of a table (Breiman, "Random forests", 2001).

    The values of one column are shuffled over the examples of a split. The importance of the column is the drop of
    accuracy, or the rise of the rmse if targets are numbers. A bar is the mean over several shuffles, and the line at
    its end is the standard deviation. The inputs into which a column with words is encoded are shuffled together. If
    two columns say the same, the model may do without one of them, so that both have a small importance.

    Attributes
    ----------
    split
        The split whose examples are used.
    shuffles
        The number of shuffles of each column.
    examples
        The largest number of examples that are used. They are drawn at random.
    seed
        The seed of the shuffles.
    """

    split: str = choice("test", among=SPLITS)
    shuffles: int = number(10, minimum=1, maximum=1000)
    examples: int = number(2000, minimum=2)
    seed: int = number(0, minimum=0)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return "" if len(run.predictor.input_shape) == 1 else "needs a table, and the inputs of the run are pictures"

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        groups = columns_of_inputs(run)
        longest = max(breadth(shortened(name, 30)) for name in groups)
        return 4.4 + LETTER * longest, 1.0 + 0.21 * max(3, min(BARS, len(groups)))

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        before, found = importances(run, self.split, self.examples, self.shuffles, self.seed)
        means = {name: values.mean().item() for name, values in found.items()}
        names = sorted(means, key=lambda name: -means[name])[:BARS]
        axes = canvas.subplots()
        axes.barh(
            range(len(names)),
            [means[name] for name in names],
            0.7,
            xerr=[found[name].std(correction=0).item() for name in names],
            color=PALETTE[0],
            ecolor=INK,
            error_kw={"lw": 1},
        )
        axes.axvline(0, color=FAINT, lw=0.8)
        axes.set_yticks(range(len(names)), [shortened(name, 30) for name in names])
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(True, axis="x")
        unit = " (in the units trained)" if run.predictor.outputs > 1 else ""
        if run.classes:
            axes.set_xlabel("drop of accuracy if the column is shuffled (%)")
            axes.set_title(f"accuracy {-before:.1f} % ({self.split})")
        else:
            axes.set_xlabel(f"rise of rmse if the column is shuffled{unit}")
            axes.set_title(f"rmse {rounded(before)} ({self.split})")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row."""
        return 3

    def cut(self, run: Run) -> str:
        """Return a text that says which columns and examples are used, or an empty text if all are used."""
        columns, count = len(columns_of_inputs(run)), len(run.examples(self.split))
        return in_words(
            some_of(min(BARS, columns), columns, "columns", "the most important"),
            some_of(min(self.examples, count), count, "examples", "at random"),
        )


def columns_of_inputs(run: Run) -> dict[str, list[int]]:
    """Return the positions of the inputs that belong to each column of the table, by the name of the column.

    A column of words has several inputs, such as ``color=red`` and ``color=blue``.
    Columns without names are x₁, x₂ and so on.
    """
    data = run.data()
    if data.encoding is None or not data.columns:
        return {f"x{subscript(place + 1)}": [place] for place in range(run.predictor.input_shape[0])}
    groups: dict[str, list[int]] = {}
    for column in data.encoding.inputs:
        first = sum(map(len, groups.values()))
        groups[column.name] = list(range(first, first + len(column.names)))
    return groups


def importances(run: Run, split: str, most: int, shuffles: int, seed: int) -> tuple[float, dict[str, Tensor]]:
    """Return how wrong a run is, and how much this rises when a column is shuffled.

    Parameters
    ----------
    split, most
        At most `most` random examples of the split are used.
    shuffles, seed
        The number of shuffles, and their seed. They are the same for all columns.

    Returns
    -------
    float, dict
        The error (see `error`) with all columns in order; and for each column its rises (shuffles,), as float64.
    """
    examples = run.examples(split)
    examples = examples[some_examples(len(examples), most).to(examples.targets.device)]
    inputs, targets = examples.inputs, examples.targets
    before = error(run, inputs, targets)
    stream = randomness.key(seed, "importance")
    orders = [randomness.permutation(randomness.fold(stream, n), len(inputs)) for n in range(shuffles)]
    rises: dict[str, Tensor] = {}
    for name, places in columns_of_inputs(run).items():
        errors = []
        for order in orders:
            shuffled = inputs.clone()
            shuffled[:, places] = inputs[order.to(inputs.device)][:, places]
            errors.append(error(run, shuffled, targets) - before)
        rises[name] = torch.tensor(errors, dtype=torch.float64)
    return before, rises


def error(run: Run, inputs: Tensor, targets: Tensor) -> float:
    """Return how wrong the predictions for raw inputs (N, D) are: −accuracy in %, or the rmse.

    For several targets with different units, the rmse is in the units trained.
    """
    scores = run(inputs).cpu()
    if run.classes:
        return -100 * (scores.argmax(1) == targets.cpu()).double().mean().item()
    unit = run.in_training_units if run.predictor.outputs > 1 else Tensor.double
    return math.sqrt((unit(scores).cpu() - unit(targets).cpu()).double().square().mean().item())
