"""Fully-connected networks (multi-layer perceptrons)."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from deeprob import randomness
from deeprob.config import choice, number, register
from deeprob.models.activations import ACTIVATIONS, Activation, ActivationFormula, MaxoutFormula, maxout
from deeprob.models.backpropagation import Formula
from deeprob.models.base import Model, ModelConfig
from deeprob.models.dense import DenseFormula, dense
from deeprob.models.dropout import Dropout, DropoutFormula
from deeprob.models.norms import NORMS, norm_formulas

DEFAULT_LAYERS = 3


@register("model", "mlp")
@dataclass(kw_only=True, slots=True)
class MLPConfig(ModelConfig):
    """A fully-connected network of N layers: N weight matrices and N − 1 hidden layers.

    Attributes
    ----------
    layers
        The number of weight matrices; there are layers − 1 hidden layers. If `hidden` is given, leave `layers` out.
    width
        The number of units in each hidden layer. If `hidden` is given, `width` has no effect.
    hidden
        A list with the number of units in each hidden layer. With null, `layers` and `width` are used instead.
        Example: ``model.hidden=[128,64]``.
    activation
        The activation function of the hidden layers.
    pieces
        The number of linear functions in each maxout unit. Example: ``model.activation=maxout model.pieces=4``.
    output_activation
        The activation function of the scores. With ``model.layers=1``, it makes the network a perceptron.
    bias
        Whether each layer has a bias.
    norm
        The normalization of Wx + b in each hidden layer. ``batch`` normalizes each unit over the examples of a batch.
        ``layer`` normalizes each example over the units of a layer.
    dropout
        The probability that a hidden unit is set to 0 during training.
    init
        The initial weights. ``scaled`` draws weights in proportion to 1/√inputs, so that signals have about the same
        size in all layers. ``standard_normal`` draws weights with standard deviation 1.
    """

    has_formulas: ClassVar[bool] = True

    layers: int = number(DEFAULT_LAYERS, minimum=1, maximum=1000)
    width: int = number(128, minimum=1)
    hidden: list[int] | None = number(None, minimum=1, optional=True, listed=True)
    activation: str = choice("relu", among=(*ACTIVATIONS, "maxout"))
    pieces: int = number(2, minimum=2)
    output_activation: str = choice("identity", among=tuple(ACTIVATIONS))
    bias: bool = True
    norm: str = choice("none", among=tuple(NORMS))
    dropout: float = number(0.0, minimum=0, below=1)
    init: str = choice("scaled", among=("scaled", "standard_normal"))

    def problems(self) -> Iterator[str]:
        """Yield a message for each contradiction between fields."""
        if self.hidden is not None and self.layers not in (DEFAULT_LAYERS, len(self.hidden) + 1):
            hidden = str(self.hidden).replace(" ", "")
            yield f"layers={self.layers}: hidden={hidden} makes {len(self.hidden) + 1} layers; give one of the two"

    def build(self, inputs: int, outputs: int, rng: torch.Generator) -> "MLP":
        """Return the network with random initial weights."""
        maxout = self.activation == "maxout"
        return MLP(
            [inputs, *self.hidden_sizes(), outputs],
            ACTIVATIONS["identity" if maxout else self.activation],
            self.dropout,
            rng,
            pieces=self.pieces if maxout else 1,
            output_activation=ACTIVATIONS[self.output_activation],
            bias=self.bias,
            norm=self.norm,
            scaled=self.init == "scaled",
        )

    def hidden_sizes(self) -> list[int]:
        """Return the number of units of each hidden layer."""
        return [self.width] * (self.layers - 1) if self.hidden is None else self.hidden

    @property
    def linear(self) -> bool:
        """Whether the network has no hidden layer."""
        return not self.hidden_sizes()

    @property
    def compares_examples(self) -> bool:
        """Whether the network has batch norm."""
        return self.norm == "batch" and bool(self.hidden_sizes())

    def noise_sources(self) -> list[str]:
        """Return the config overrides that switch off dropout and batch norm, if the network has them."""
        if not self.hidden_sizes():
            return []
        return ["model.dropout=0"] * (self.dropout > 0) + ["model.norm=none"] * self.compares_examples


class MLP(Model):
    """A fully-connected network. With two layers it is f(x) = W₂ φ(W₁x + b₁) + b₂.

    Dropout follows the activation φ of each hidden layer. If a layer has n inputs, the standard deviation of its
    initial weights is gain/√n in a hidden layer (see `Activation.gain`), and 1/n in the last layer. So initial scores
    are near 0 at any width (Yang et al., "Tensor Programs V", 2021, table 3).

    Parameters
    ----------
    sizes
        The numbers of units from input to output: [D, H₁, …, C]. [D, C] makes a linear classifier.
    activation
        The activation φ of the hidden layers.
    dropout
        The probability that a hidden unit is set to 0. Each update draws new units for each example.
    rng
        The generator that draws the weights; biases start at 0.
    pieces
        The number of linear functions per hidden unit. The maximum of their values (maxout) goes into the activation.
    output_activation
        The activation of the scores.
    bias
        Whether layers have biases.
    norm
        The normalization of Wx + b in each hidden layer, before the activation: a name in `NORMS`.
    scaled
        Whether the initial weights have the standard deviations above. If False, all standard deviations are 1.
    """

    def __init__(
        self,
        sizes: list[int],
        activation: Activation,
        dropout: float,
        rng: torch.Generator,
        *,
        pieces: int = 1,
        output_activation: Activation = ACTIVATIONS["identity"],
        bias: bool = True,
        norm: str = "none",
        scaled: bool = True,
    ) -> None:
        super().__init__()
        deviations = [activation.gain / math.sqrt(fan_in) for fan_in in sizes[:-2]] + [1 / sizes[-2]]
        if not scaled:
            deviations = [1.0] * len(deviations)
        outputs = [size * pieces for size in sizes[1:-1]] + [sizes[-1]]
        self.layers = nn.ModuleList(
            dense(fan_in, fan_out, deviation, rng, bias)
            for fan_in, fan_out, deviation in zip(sizes, outputs, deviations, strict=False)
        )
        self.norms = nn.ModuleList(NORMS[norm](units) for units in outputs[:-1])
        self.activation = activation
        self.pieces = pieces
        self.output_activation = output_activation
        self.dropout = Dropout(dropout)
        self.noisy = dropout > 0 and len(sizes) > 2

    def forward(self, inputs: Tensor, key: Tensor | None = None) -> Tensor:
        """Return scores (B, C) of inputs (B, …) with D numbers per example. If `key` is None, dropout is off."""
        hidden = inputs.flatten(1)
        for depth in range(len(self.norms)):
            hidden = self._activations(self._sums(hidden, depth))
            if self.noisy and key is not None:
                hidden = self.dropout(hidden, randomness.fold(key, depth))
        return self.output_activation.function(self.layers[-1](hidden))

    def _sums(self, hidden: Tensor, depth: int) -> Tensor:
        """Return Wx + b of a hidden layer. If the layer has a norm, Wx + b is normalized."""
        sums: Tensor = self.norms[depth](self.layers[depth](hidden))
        return sums

    def _activations(self, sums: Tensor) -> Tensor:
        """Return the activations of a hidden layer, given the result of `_sums`."""
        return self.activation.function(maxout(sums, self.pieces) if self.pieces > 1 else sums)

    def stages(self, inputs: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield the names and the outputs of ``linear 1``, ``relu 1``, …, ``scores``.

        If a hidden layer has a norm, its linear stage is the normalized Wx + b.
        """
        hidden = inputs.flatten(1)
        name = "maxout" if self.pieces > 1 else self.activation.name
        for depth in range(len(self.norms)):
            yield f"linear {depth + 1}", (sums := self._sums(hidden, depth))
            yield f"{name} {depth + 1}", (hidden := self._activations(sums))
        sums = self.layers[-1](hidden)
        if self.output_activation.name != "identity":
            yield f"linear {len(self.layers)}", sums
        yield "scores", self.output_activation.function(sums)

    @property
    def linear_layers(self) -> Sequence[nn.Linear]:
        """The layers Wx + b, in order from input to output."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def formulas(self) -> Sequence[Formula]:
        """Return the formulas of all steps, in the order of the forward pass."""
        formulas: list[Formula] = []
        for depth, norm in enumerate(self.norms):
            formulas += [DenseFormula(f"layers.{depth}", self.linear_layers[depth])]
            formulas += norm_formulas(f"norms.{depth}", norm)
            formulas += [MaxoutFormula(self.pieces)] if self.pieces > 1 else []
            formulas += [ActivationFormula(self.activation)] if self.activation.name != "identity" else []
            formulas += [DropoutFormula("dropout", depth)] if self.noisy else []
        formulas += [DenseFormula(f"layers.{len(self.norms)}", self.linear_layers[-1])]
        return formulas + [ActivationFormula(self.output_activation)] * (self.output_activation.name != "identity")
