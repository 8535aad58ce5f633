"""Compute the loss at many points of a line or plane in weight space.

On the plane W₀ + a·D₁ + b·D₂, the first layer computes x·W₀ + a·(x·D₁) + b·(x·D₂) for an input x. The three products
x·W₀, x·D₁ and x·D₂ are the same for all points of the plane, so they are computed only once per batch of examples. Each
point then needs a sum of three numbers per unit instead of a matrix product. The other layers are evaluated for many
points at once, with ``vmap`` over the weights.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from deeprob.analysis.landscape.directions import Point
from deeprob.data import Examples
from deeprob.models import Model
from deeprob.objective import Objective
from deeprob.objective.objective import weights

EXAMPLES, CHUNK = 256, 2**20
"""The number of examples per batch, and the largest number of a layer's activations in memory at once. Larger values
would not fit into the CPU caches; smaller values would need more calls (tests/benchmarks/loss_plane.py)."""

MEMORY = 2**25
"""The largest number of weights in memory at once: 256 MB of float64."""


@dataclass(frozen=True)
class Landscape:
    """The loss L(W) of fixed examples as a function of the weights W of a model.

    Attributes
    ----------
    model
        The model in evaluation mode: dropout is off. Batch norm uses the model's running statistics for all W.
    objective
        The data loss and the regularizer λR(W).
    examples
        The model's inputs (N, …) and the targets, on the model's device. The inputs have the model's dtype.
    """

    model: Model
    objective: Objective
    examples: Examples

    @property
    def here(self) -> dict[str, Tensor]:
        """The model's own weights."""
        return {name: tensor.detach() for name, tensor in self.model.named_parameters()}

    def to(self, dtype: torch.dtype) -> "Landscape":
        """Return a copy of the landscape with the model and the inputs in another dtype."""
        return Landscape(copy.deepcopy(self.model).to(dtype).eval(), self.objective, self.examples.as_floats(dtype))

    def gradient(self) -> dict[str, Tensor]:
        """Return ∇L at the model's own weights."""
        leaves = {name: tensor.clone().requires_grad_() for name, tensor in self.here.items()}
        with torch.enable_grad():
            scores = functional_call(self.model, leaves, (self.examples.inputs,))
            value = self.objective(scores, self.examples.targets, leaves, self.examples.shares).loss
        return dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))

    @torch.no_grad()
    def losses(self, origin: Point, directions: Sequence[Point], steps: Tensor) -> Tensor:
        """Return L at P points on a line, on a plane, or in a space of more dimensions.

        Parameters
        ----------
        origin
            The weights W₀: one tensor per parameter name.
        directions
            K directions D₁, D₂, …, with the same parameter names.
        steps
            (P, K) coordinates. The row (a, b, …) stands for the point W₀ + a·D₁ + b·D₂ + ….

        Returns
        -------
        Tensor
            (P,) losses in float64, on the CPU. A loss is infinite or NaN if numbers overflow.
        """
        spanned = {
            name: torch.stack([tensor, *(direction[name] for direction in directions)])
            for name, tensor in origin.items()
        }
        first = next(iter(origin.values()))
        mixing = torch.cat([torch.ones(len(steps), 1), steps.cpu()], dim=1).to(first)
        total = torch.zeros(len(steps), dtype=torch.float64, device=first.device)
        layer = Sums.in_place_of_the_first_layer(self.model)
        rest = {name: tensor for name, tensor in spanned.items() if not name.startswith(f"{layer.name}.")}
        widest = max(tensor[0].shape[0] for tensor in matrices_of(spanned).values())
        numbers = sum(tensor[0].numel() for tensor in rest.values())
        most = max(1, min(CHUNK // (widest * min(EXAMPLES, len(self.examples))), MEMORY // max(1, numbers)))
        examples = replace(self.examples, weights=self.examples.shares)
        for chosen in chunks(len(examples), EXAMPLES):
            part = examples[chosen]
            products = layer.products(part.inputs, spanned)
            for places in chunks(len(mixing), most):
                total[places] += self._sum_of_losses(layer, rest, products, part, mixing[places])
        return (total / len(self.examples) + self._regularization(spanned, mixing)).cpu()

    def _sum_of_losses(
        self, layer: "Sums", rest: Mapping[str, Tensor], products: Tensor, part: Examples, mixing: Tensor
    ) -> Tensor:
        """Return the sum of the losses of some examples, times their weights, for each point (P,)."""

        def at(mix: Tensor) -> Tensor:
            point = {name: torch.tensordot(mix, tensor, 1) for name, tensor in rest.items()}
            sums = torch.tensordot(mix, products, 1)
            scores = functional_call(layer.model, point, (sums,))
            return self.objective.loss(scores, part.targets, part.weights).sum(dtype=torch.float64)

        summed: Tensor = vmap(at)(mixing)
        return summed

    def _regularization(self, spanned: Mapping[str, Tensor], mixing: Tensor) -> Tensor:
        """Return λR(W) at each point (P,), or a 0-d tensor with the value 0 if there is no regularizer."""
        matrices = matrices_of(spanned)
        none = mixing.new_zeros((), dtype=torch.float64)
        if self.objective.regularizer(tensor[0] for tensor in matrices.values()) is None:
            return none

        def at(mix: Tensor) -> Tensor:
            value = self.objective.regularizer(torch.tensordot(mix, tensor, 1) for tensor in matrices.values())
            return none if value is None else value.double()

        numbers = sum(tensor[0].numel() for tensor in matrices.values())
        parts = [vmap(at)(mixing[places]) for places in chunks(len(mixing), max(1, MEMORY // numbers))]
        return torch.cat(parts)


def matrices_of(spanned: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the entries of `spanned` that belong to weight matrices. Each has the shape (1 + K, …)."""
    return {name: spanned[name] for name in weights({name: tensor[0] for name, tensor in spanned.items()})}


def chunks(count: int, size: int) -> Iterator[slice]:
    """Split ``range(count)`` into slices of at most `size` items: ``5, 2`` → 0:2, 2:4, 4:5."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


@dataclass(frozen=True)
class Sums:
    """A model without its first layer. The inputs of this model are the outputs of the first linear layer.

    A model that does not name its linear layers stays whole.

    Attributes
    ----------
    name
        The name of the first layer. Empty if the model is whole.
    model
        A copy of the model with an identity in place of the first layer.
    """

    name: str
    model: Model

    @classmethod
    def in_place_of_the_first_layer(cls, model: Model) -> "Sums":
        """Return the given model without its first layer."""
        copied = copy.deepcopy(model).eval()
        if not model.linear_layers:
            return cls("", copied)
        first = model.linear_layers[0]
        name = next(name for name, module in model.named_modules() if module is first)
        copied.set_submodule(name, nn.Identity())
        return cls(name, copied)

    def products(self, inputs: Tensor, spanned: Mapping[str, Tensor]) -> Tensor:
        """Return the first layer's outputs (1 + K, B, H) for inputs (B, …): with the weights W₀, D₁, …, D_K.

        If the model is whole, return the inputs and K times 0 (1 + K, B, …).
        """
        if not self.name:
            directions = len(next(iter(spanned.values()))) - 1
            return torch.cat([inputs[None], inputs.new_zeros(directions, *inputs.shape)])
        weight, bias = spanned[f"{self.name}.weight"], spanned.get(f"{self.name}.bias")
        products = inputs.flatten(1) @ weight.transpose(1, 2)
        return products if bias is None else products + bias[:, None]
