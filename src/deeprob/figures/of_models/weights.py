"""Histograms of a model's weights. L2 regularization makes weights small, and L1 makes many weights zero."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import zip_longest

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig, needs_linear_layers
from deeprob.figures.caps import evenly, some_of
from deeprob.figures.style import PALETTE

NEAR = 1e-3
"""A weight is near zero if its magnitude is less than this share of the largest magnitude in its layer."""


@register("figure", "weights")
@dataclass(kw_only=True, slots=True)
class WeightsConfig(FigureConfig):
    """A histogram of each weight matrix, without biases. The bar of weights that are exactly 0 has another color.

    Attributes
    ----------
    bins
        The number of bars of a histogram. If the number is divisible by 2, one bar is added, so that the middle bar
        lies around 0.
    reach
        The largest weight on the x axis, for each layer. null means the largest magnitude of the layer's weights.
        Example: ``figure=weights figure.reach=[1,2]``.
    """

    bins: int = number(41, minimum=3, maximum=1001)
    reach: list[float] | None = number(None, above=0, optional=True, listed=True, whole=False)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        layers = len(run.model.linear_layers)
        if not layers or self.reach is None or len(self.reach) >= layers:
            return needs_linear_layers(run)
        return f"needs one figure.reach per layer, and the run has {layers} layers"

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return 2.8 * min(len(run.model.linear_layers), caps.LAYERS), 3.2

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        weights = matrices(run)
        places = evenly(len(weights), caps.LAYERS)
        panels = canvas.subplots(1, len(places), squeeze=False)[0]
        for axes, place in zip(panels, places, strict=True):
            weight = weights[place]
            draw_weights(axes, weight, self.bins, largest(weight) if self.reach is None else self.reach[place])
            axes.set_title(weights_title(weight, place + 1), fontsize=8, fontweight="normal")
        panels[0].set_ylabel("number of weights")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row. If a run has many layers, the number is smaller."""
        return max(1, 3 // max(len(run.model.linear_layers) for run in runs.values()))

    def cut(self, run: Run) -> str:
        """Return a text that says how many layers are shown, or an empty text if all are shown."""
        layers = len(run.model.linear_layers)
        return some_of(len(evenly(layers, caps.LAYERS)), layers, "layers", "at even distances")

    def compare(self, runs: Mapping[str, Run]) -> Figure:
        """Return the figure of several runs. For each layer, the axes of all runs have the same range."""
        together = self
        if self.reach is None:
            layers = zip_longest(*(map(largest, matrices(run)) for run in runs.values()), fillvalue=0.0)
            together = dataclasses.replace(self, reach=[max(layer) for layer in layers])
        return FigureConfig.compare(together, runs)


def matrices(run: Run) -> list[Tensor]:
    """Return the weight matrices of a run in double precision."""
    return [layer.weight.detach().double().cpu() for layer in run.model.linear_layers]


def largest(weight: Tensor) -> float:
    """Return the largest magnitude of the weights. If all weights are 0, return 1."""
    return weight.abs().max().item() or 1.0


def weights_title(weight: Tensor, number: int) -> str:
    """Return a title: the number and size of a layer, the sums of |W| and W², and the shares near 0."""
    rows, columns = weight.shape
    magnitudes = weight.abs()
    zero = (magnitudes == 0).double().mean().item()
    near = (magnitudes < NEAR * largest(weight)).double().mean().item()
    return (
        f"layer {number}: {rows} × {columns} weights\n"
        f"Σ|W| = {_sum_text(magnitudes.sum().item())},  ΣW² = {_sum_text(weight.square().sum().item())}\n"
        f"exactly 0: {100 * zero:.1f} %\n"
        f"below 1/{1 / NEAR:.0f} of the largest: {100 * near:.1f} %"
    )


def _sum_text(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def draw_weights(axes: Axes, weight: Tensor, bins: int, reach: float) -> None:
    """Draw a histogram of weights from −reach to reach with a logarithmic y axis. Exact zeros have their own bar."""
    bins += 1 - bins % 2
    values = weight.flatten()
    counts, edges = torch.histogram(values[values != 0], bins, range=(-reach, reach))
    width = 2 * reach / bins
    zeros = int((values == 0).sum())
    if zeros or counts.any():  # matplotlib warns if nothing is drawn on a logarithmic scale
        axes.bar((edges[:-1] + edges[1:]).numpy() / 2, counts.numpy(), 0.9 * width, color=PALETTE[0])
    if zeros:
        axes.bar([0.0], [zeros], 0.9 * width, color=PALETTE[5])
        axes.annotate("exactly 0", (0, zeros), (0, 2), textcoords="offset points", ha="center", color=PALETTE[5])
    axes.set(yscale="log", ylim=(0.7, 3 * len(values)), xlim=(-1.03 * reach, 1.03 * reach), xlabel="weight")
    axes.locator_params(axis="x", nbins=5)
