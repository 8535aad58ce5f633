"""Templates: the weights of each class, or of each unit of the first layer, drawn like an input."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from deeprob.analysis.plane import limits_of
from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.errors import UserError, did_you_mean
from deeprob.figures import caps
from deeprob.figures.bank import Bank
from deeprob.figures.base import FigureConfig, columns_of_table, needs_linear_layers, plane_names
from deeprob.figures.caps import in_words, some_of
from deeprob.figures.of_models.decision_boundary import class_legend, evenly_spaced, scatter
from deeprob.figures.of_models.template_bank import bank_of_classes, bank_of_units, overview
from deeprob.figures.of_models.unit_lines import draw_units
from deeprob.figures.of_models.units import first_layer, mean_derivatives
from deeprob.figures.style import DIVERGING, FAINT, INK, LETTER, breadth, palette_color, plane_axes, shortened

LINES, NAMED = 24, 32
"""The default number of units on the plane and of rows in a table. At most `NAMED` rows and columns have names."""

WRITTEN = 12
"""The largest number of columns for which the cells of a table also show the weights as numbers."""

SAMPLE = 1000
"""The approximate number of training examples that are used to sort the units of deeper networks."""


@register("figure", "templates")
@dataclass(kw_only=True, slots=True)
class TemplatesConfig(FigureConfig):
    """The template of each class in a linear model, or the first-layer templates of a network.

    A template is the weights w of a class or a unit. If inputs are pictures, templates are pictures, and a weight of 0
    is mid-grey. Weights are divided by the standard deviation of the pixels, since the model sees standardised pixels.
    If inputs are points of the plane, templates are arrows, with the lines wᵀx + b = 0. For all other inputs, templates
    are the rows of a table, with the column names of the data.

    In a network, the units that feed a class most come first. If the network has two layers, the strength with which a
    unit feeds a class is its weight in W₂. In deeper networks, the strength is the derivative of the class's score with
    respect to the unit's activation, as a mean over training examples.

    Attributes
    ----------
    cls
        The class whose template or units are shown. If null, all classes are shown. Example: ``figure=templates
        figure.cls=cats``.
    units
        The largest number of units that are shown. If null, the limit depends on the kind of panel: 12 pictures per
        class, 64 pictures if rows are not classes, 24 units on the plane, or 32 rows of a table.
    points
        The largest number of training examples that are shown on the plane. 0 shows none.
    """

    live: ClassVar[bool] = True

    cls: str | None = None
    units: int | None = number(None, minimum=1, optional=True)
    points: int = number(600, minimum=0)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        lacking = needs_linear_layers(run)
        if lacking or run.predictor.input_shape != (2,):
            return lacking
        if not run.config.features.unchanged:
            return "needs units that are lines in the plane, and the run's features bend them; try features=raw"
        if hidden(run) and getattr(run.config.model, "norm", "") == "layer":
            return "needs units with a line each in the plane, and layer norm ties them all together"
        return ""

    def watched(self, run: Run) -> bool:
        """Return whether the figure is drawn by default while the run trains.

        If inputs are points of the plane, the answer is no, since the figure ``decision_boundary`` shows more.
        """
        return self.live and run.predictor.input_shape != (2,)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        if run.predictor.input_shape == (2,):
            return 4.4, 4.5
        if sees_pixels(run):
            return self._bank(run).size()
        rows, _ = self._rows(run)
        names = self._columns(run)
        if not names:
            return 8.3, 1.4 + 0.2 * min(len(rows), NAMED)
        width = min(8.3, max(4.2, 2.6 + 0.6 * len(names)))
        return width, 1.4 + 0.2 * min(len(rows), NAMED) + 0.7 * LETTER * max(breadth(name) for name in names.values())

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        axes = canvas.subplots()
        if run.predictor.input_shape == (2,):
            self._plane(axes, run)
        elif sees_pixels(run):
            self._bank(run).draw(axes)
        else:
            self._table(canvas, axes, run)

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 4 if panels show the plane, else 1."""
        return 4 if next(iter(runs.values())).predictor.input_shape == (2,) else 1

    def _bank(self, run: Run) -> Bank:
        """Return the bank of templates of a run whose inputs are pictures."""
        v, _ = first_layer(run.model, run.predictor.features.standardize)
        v, scores = v.view(*v.shape[:2], *run.predictor.input_shape), self._scores(run)
        names = [score_names(run)[score] for score in scores]
        if not hidden(run):
            return bank_of_classes(v[scores], names)
        two_layers = len(run.model.linear_layers) == 2
        if self.cls is None and len(names) <= 12:
            return overview(v, feeds(run, scores), names, self._most(run), two_layers)
        cls = None if self.cls is None else 0
        return bank_of_units(v, feeds(run, scores), names, cls, self._most(run), two_layers)

    def _scores(self, run: Run) -> list[int]:
        """Return the indices of the scores that are shown, or by which the units are sorted.

        If `cls` is null, return the first scores. If not, return the score of the class `cls`.
        """
        cls = place_of(run, self.cls)
        return list(range(min(len(score_names(run)), caps.CLASSES))) if cls is None else [cls]

    def _most(self, run: Run) -> int | None:
        """Return the option `units`, limited to the number of units that a figure can show. null gives None."""
        return None if self.units is None else min(self.units, max(1, caps.UNITS // pieces_of(run)))

    def cut(self, run: Run) -> str:
        """Return a text that says which part of a run is shown, or an empty text if all is shown."""
        total, shown = len(score_names(run)), len(self._scores(run))
        what = "classes" if run.classes else "outputs"
        classes = some_of(shown, total, what, "the first") if self.cls is None else ""
        names = () if run.predictor.input_shape == (2,) else columns_of_table(run)
        columns = some_of(min(len(names), NAMED), len(names), "columns", "those of the largest weights")
        if not hidden(run):
            return in_words(classes, columns)
        units = run.model.linear_layers[0].weight.shape[0] // pieces_of(run)
        if len(run.predictor.input_shape) == 3 and run.config.features.unchanged:  # the title of a bank names the units
            shown, wanted, which = self._most(run) or 0, min(units, self.units or 0), ""
        else:
            usual = LINES if run.predictor.input_shape == (2,) else max(1, NAMED // pieces_of(run))
            shown, wanted, which = min(units, self._most(run) or usual), units, "those that feed a class most"
        return in_words(some_of(shown, wanted, "units", which), f"units by {classes}" if classes else "", columns)

    def _plane(self, axes: Axes, run: Run) -> None:
        """Draw the templates of a run on the plane."""
        v, c = first_layer(run.model, run.predictor.features.standardize)
        scores = self._scores(run)
        if hidden(run):
            fed = feeds(run, scores)
            fed = fed.norm(dim=0) if self.cls is None else fed[0].abs()
            strengths, colors = fed * v.norm(dim=2).amax(1), [INK] * len(v)
            chosen = strengths.argsort(descending=True, stable=True)[: self._most(run) or LINES]
            what = "the scores" if self.cls is None else f"the score of {shortened(self.cls, 20)}"
            title = f"the line where each unit is 0, and where it grows;\nthe stronger, the more it bends {what}"
        else:
            strengths, colors = torch.ones(len(v)), [palette_color(place) for place in range(len(v))]
            chosen = torch.tensor(scores)
            title = "the line where each score is 0, and where it grows"
        training = run.examples("train")
        limits = limits_of(training.inputs)
        if run.classes:
            scatter(axes, training, self.points)
        else:
            axes.plot(*evenly_spaced(training, self.points)[0].T, "o", color=FAINT, ms=3.2, mec="white", mew=0.4)
        strengths = strengths[chosen] / strengths.max().clamp(min=1e-300)
        draw_units(axes, v[chosen], c[chosen], strengths, [colors[unit] for unit in chosen], limits)
        plane_axes(axes, limits, plane_names(run))
        axes.set_title(title, fontsize=8.5, fontweight="normal")
        class_legend(axes, run.classes)

    def _rows(self, run: Run) -> tuple[Tensor, Sequence[str]]:
        """Return the rows (R, D) of a run's table of weights, and their names."""
        w, _ = first_layer(run.model)
        scores = self._scores(run)
        if not hidden(run):
            return w[scores, 0], [score_names(run)[score] for score in scores]
        order = feeds(run, scores).amax(0).argsort(descending=True, stable=True)
        units = order[: self._most(run) or max(1, NAMED // w.shape[1])]
        return w[units].flatten(0, 1), [f"unit {unit + 1}" for unit in units.tolist() for _ in range(w.shape[1])]

    def _columns(self, run: Run) -> dict[int, str]:
        """Return the names of the `NAMED` columns with the largest weights, by column number."""
        names, (rows, _) = columns_of_table(run), self._rows(run)
        largest = rows.abs().amax(0).argsort(descending=True, stable=True)[:NAMED].sort().values
        return {place: shortened(names[place], 24) for place in largest.tolist()} if names else {}

    def _table(self, canvas: FigureBase, axes: Axes, run: Run) -> None:
        """Draw the templates of a run as a table."""
        (rows, names), columns = self._rows(run), self._columns(run)
        rows = rows[:, list(columns)] if columns else rows
        reach = rows.abs().max().item() or 1.0
        image = axes.imshow(rows.numpy(), cmap=DIVERGING, vmin=-reach, vmax=reach, aspect="auto")
        image.set_extent((0.5, rows.shape[1] + 0.5, len(rows) - 0.5, -0.5))
        if columns:
            places = range(1, len(columns) + 1)
            axes.set_xticks(places, list(columns.values()), rotation=45, ha="right", rotation_mode="anchor")
        else:
            axes.set_xlabel("column of the inputs" if run.config.features.unchanged else "feature")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if rows.shape[1] <= WRITTEN and len(rows) <= NAMED:
            for (row, column), weight in np.ndenumerate(rows.numpy()):
                ink = "white" if abs(weight) > 0.6 * reach else INK
                axes.text(
                    column + 1, row, f"{weight:.2g}".replace("-", "−"), color=ink, fontsize=8, ha="center", va="center"
                )
        what = "unit" if hidden(run) else "score" if run.classes else "output"
        axes.set_title(f"what each {what} looks for", pad=6)
        if len(rows) <= NAMED:
            axes.set_yticks(range(len(rows)), [shortened(name, 20) for name in names])
        else:
            axes.set_ylabel("unit, by how much it feeds a score" if hidden(run) else "score")
        canvas.colorbar(image, ax=axes, label="weight")


def hidden(run: Run) -> bool:
    """Return whether a run's model has a hidden layer."""
    return len(run.model.linear_layers) > 1


def sees_pixels(run: Run) -> bool:
    """Return whether the inputs of a run's model are the pixels of pictures."""
    return run.config.features.unchanged and len(run.predictor.input_shape) == 3


def score_names(run: Run) -> Sequence[str]:
    """Return the names of a run's scores."""
    return run.classes or run.data().target_columns or [f"output {n + 1}" for n in range(run.predictor.outputs)]


def place_of(run: Run, name: str | None) -> int | None:
    """Return the position of the class `name` among the scores. If `name` is None, return None.

    Raises
    ------
    UserError
        When there is no class of that name.
    """
    names = list(score_names(run))
    if name is not None and name not in names:
        raise UserError(f"figure.cls={name}: the run has no such class; {did_you_mean(name, names)}")
    return None if name is None else names.index(name)


def pieces_of(run: Run) -> int:
    """Return the number of pieces per unit in a run's first layer. Only maxout units have several pieces."""
    return getattr(run.model, "pieces", 1)


def feeds(run: Run, scores: Sequence[int]) -> Tensor:
    """Return the strengths (S, U) with which first-layer units feed some scores.

    A unit feeds a score if it raises the score. In a network of two layers, the strengths are the weights W₂. In deeper
    networks, `mean_derivatives` computes them.
    """
    layers = run.model.linear_layers
    if len(layers) == 2:
        return layers[1].weight.detach().double().cpu()[scores]
    inputs = run.features_of("train", slice(None, None, -(-len(run.data().train) // SAMPLE)))
    return mean_derivatives(run.model, inputs, scores)
