"""The activations of a network's hidden units on some examples, and the units that no longer learn."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig, needs_linear_layers
from deeprob.figures.caps import evenly, some_of
from deeprob.figures.of_models.units import differentiable_stages
from deeprob.figures.style import PALETTE
from deeprob.models import Model
from deeprob.models.activations import ACTIVATIONS, MaxoutFormula

SATURATED = 0.05
"""A value is saturated if its derivative is less than this share of the function's largest derivative."""


@register("figure", "activation_statistics")
@dataclass(kw_only=True, slots=True)
class ActivationStatisticsConfig(FigureConfig):
    """A histogram of each hidden layer's activations, with the shares of dead units and of saturated values.

    A unit is dead if the derivative of its activation is 0 for all examples. A value is saturated if its derivative is
    less than 5 % of the largest derivative of the activation function.

    Attributes
    ----------
    split
        The split from which the examples are taken.
    examples
        The largest number of examples that are used. If the split is larger, every n-th example is used.
    bins
        The number of bars of a histogram.
    """

    split: str = choice("train", among=SPLITS)
    examples: int = number(2000, minimum=1)
    bins: int = number(40, minimum=1, maximum=1000)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        if len(run.model.linear_layers) == 1:
            return "needs a hidden layer, and the run's model has none"
        return needs_linear_layers(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        layers = min(len(run.model.linear_layers) - 1, caps.LAYERS)
        return 2.8 * min(layers, 3), 2.7 * -(-layers // 3)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        inputs = run.features_of(self.split, slice(None, None, -(-len(run.examples(self.split)) // self.examples)))
        layers = list(hidden_layers(run.model, inputs))
        layers = [layers[place] for place in evenly(len(layers), caps.LAYERS)]
        rows = -(-len(layers) // 3)
        panels = canvas.subplots(rows, -(-len(layers) // rows), squeeze=False)
        for axes in panels.flat[len(layers) :]:
            axes.set_axis_off()
        for axes, layer in zip(panels.flat, layers, strict=False):
            draw_activations(axes, layer.activations, self.bins)
            axes.set_title(layer_title(layer), fontsize=8, fontweight="normal")
        for axes in panels[:, 0]:
            axes.set_ylabel("share of values")

    def cut(self, run: Run) -> str:
        """Return a text that says how many hidden layers are shown, or an empty text if all are shown."""
        layers = len(run.model.linear_layers) - 1
        return some_of(len(evenly(layers, caps.LAYERS)), layers, "hidden layers", "at even distances")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row. If a run has several hidden layers, the number is smaller."""
        return max(1, 3 // max(len(run.model.linear_layers) - 1 for run in runs.values()))


class Layer(NamedTuple):
    """The activations of a hidden layer on some examples, and their derivatives.

    Attributes
    ----------
    name
        The name of the layer, such as ``relu 1``.
    activations
        The activations (N, U) of U units.
    slopes
        The derivative (N, U·P) of each activation with respect to the weighted sum before it. A maxout unit has one
        derivative for each of its P sums. For all other units, P = 1.
    """

    name: str
    activations: Tensor
    slopes: Tensor

    def shares(self) -> dict[str, float]:
        """Return the shares of dead units or pieces, of saturated values, and of values that are exactly 0."""
        flat = self.slopes.abs() < SATURATED * steepest(self.name.split()[0])
        return {
            "dead": (self.slopes == 0).all(0).double().mean().item(),
            "saturated": flat.double().mean().item(),
            "zero": (self.activations == 0).double().mean().item(),
        }


def activation_statistics(model: Model, inputs: Tensor) -> dict[str, dict[str, float]]:
    """Return three shares in [0, 1] for each hidden layer. A key is the name of a layer, such as ``relu 1``.

    ``dead`` is the share of units that do not learn, since the derivative of their activation is 0 for all inputs.
    Examples: a ReLU that is never positive, and a piece of a maxout unit that is never the largest piece. ``saturated``
    is the share of values whose derivative is less than 5 % of the largest derivative of the activation function.
    ``zero`` is the share of values that are exactly 0.

    Parameters
    ----------
    model
        The model. A linear model has no hidden layer, so the result is an empty dict.
    inputs
        The features (N, …) that are the inputs of the model.
    """
    return {layer.name: layer.shares() for layer in hidden_layers(model, inputs)}


def hidden_layers(model: Model, inputs: Tensor) -> Iterator[Layer]:
    """Yield the hidden layers with their activations for inputs (N, …).

    The model is in evaluation mode: dropout is off, and batch norm uses its running means.
    """
    stages = differentiable_stages(model, inputs)
    for (before, sums), (name, activations) in zip(stages[::2], stages[1::2], strict=False):
        if before.startswith("linear ") and name != "scores":
            yield Layer(name, activations.detach(), slopes(name.split()[0], sums, activations))


def slopes(name: str, sums: Tensor, activations: Tensor) -> Tensor:
    """Return the derivatives of `activations` with respect to `sums`. `name` is the activation function.

    If there is a formula, it is used. Autograd would import a library, which takes longer than drawing the figure.
    """
    ones = torch.ones_like(activations)
    if name in ACTIVATIONS:
        return ACTIVATIONS[name].backward(ones, sums.detach(), activations.detach())
    if name == "maxout":
        formula = MaxoutFormula(sums.shape[-1] // activations.shape[-1])
        return formula.backward(ones, formula.forward(sums.detach(), {}, False, None)[1], {}, {}, True)
    (found,) = torch.autograd.grad(activations, sums, ones, retain_graph=True)
    return found


@functools.cache
def steepest(name: str) -> float:
    """Return the largest derivative of an activation function. For maxout it is 1."""
    if name not in ACTIVATIONS:
        return 1.0
    z, activation = torch.linspace(-8, 8, 3201, dtype=torch.float64), ACTIVATIONS[name]
    return slopes(name, z, activation.function(z)).max().item()


def layer_title(layer: Layer) -> str:
    """Return a title: the name and width of a layer, and the shares that are useful for its activation."""
    name, shares = layer.name.split()[0], {key: f"{100 * share:.1f} %" for key, share in layer.shares().items()}
    if name == "relu":
        found = f"dead units: {shares['dead']}\nzeros (not drawn): {shares['zero']}"
    elif name == "maxout":
        found = f"dead pieces, never the largest: {shares['dead']}"
    else:
        found = f"saturated values: {shares['saturated']}"
    return f"{layer.name}: {layer.activations.shape[1]} units\n{found}"


def draw_activations(axes: Axes, activations: Tensor, bins: int) -> None:
    """Draw a histogram of activations as shares of all values. Values that are exactly 0 are not drawn."""
    values = activations.flatten().double().cpu()
    moved = values[values != 0]
    low, high = (moved.min().item(), moved.max().item()) if len(moved) else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = torch.histogram(moved, bins, range=(low, high))
    axes.bar(edges[:-1].numpy(), (counts / len(values)).numpy(), (high - low) / bins, align="edge", color=PALETTE[0])
    axes.set_xlabel("activation")
    axes.locator_params(nbins=5)
