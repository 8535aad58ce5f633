"""All that a run computes, from raw inputs to scores, as one module of plain tensor operations."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deeprob.assembly.finished import Run
from deeprob.errors import UserError
from deeprob.exports.tensor_steps import (
    BinPlaces,
    Encode,
    Grey,
    PolarCoordinates,
    Project,
    QuantileShares,
    Scale,
    Side,
    Step,
    Units,
)
from deeprob.features import Features
from deeprob.features.chain import Chain
from deeprob.features.concat import Concat
from deeprob.features.pca import Pca
from deeprob.features.piecewise_linear import PiecewiseLinear
from deeprob.features.pixels import Pixels
from deeprob.features.polar import Polar
from deeprob.features.quantile import Quantile
from deeprob.features.raw import Raw
from deeprob.features.whiten import Whiten
from deeprob.models import Model

CAN = (
    "raw, pixels (before=[] or [grayscale], and first in a chain), pca, whiten, polar, quantile and piecewise_linear "
    "can, and chain and concat of these"
)


class Network(nn.Module):
    """All that a run computes, from raw inputs to scores.

    Raw inputs are (B, D) floats or (B, C, H, W) pictures in uint8. Rows of a table have one number for each column, in
    float64 (see `deeprob.exports.tensor_steps.Encode`). All that follows the first step is computed in float32.

    Parameters
    ----------
    steps
        The steps before the model.
    model
        The model.
    units
        The step from standardised targets to the units of the dataset; None if there is none.
    shape
        The shape of one raw input, without the batch.
    dtype
        The type of raw inputs.
    probabilities
        Whether there is a second output: the probabilities of the classes.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        model: Model,
        units: Units | None,
        shape: tuple[int, ...],
        dtype: torch.dtype,
        probabilities: bool,
    ) -> None:
        super().__init__()
        self.steps = nn.Sequential(*steps)
        self.model = model
        self.units = units
        self.shape, self.dtype, self.probabilities = shape, dtype, probabilities
        self.eval()

    @property
    def before(self) -> list[Step]:
        """The steps before the model."""
        return [step for step in self.steps if isinstance(step, Step)]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return ("scores", "probabilities") if self.probabilities else ("scores",)

    @property
    def example(self) -> Tensor:
        """A batch of two raw inputs of zeros."""
        return torch.zeros(2, *self.shape, dtype=self.dtype)

    def forward(self, input: Tensor) -> tuple[Tensor, ...]:
        """Return the scores (B, C) and, if there are any, the probabilities (B, C)."""
        scores = self.model(self.steps(input.flatten(1)).float())
        if self.units is not None:
            scores = self.units(scores)
        return (scores, scores.softmax(1)) if self.probabilities else (scores,)


def network_of(run: Run) -> Network:
    """Return what a run computes as one module, on the CPU.

    The run's model becomes a part of this module, in float32.

    Raises
    ------
    UserError
        If the features are not linear and are not computed for each number alone.
    """
    predictor = run.predictor.to(torch.device("cpu"), torch.float32)
    shape, dtype = predictor.input_shape, torch.uint8 if len(predictor.input_shape) == 3 else torch.float32
    steps: list[Step] = []
    if (encoding := predictor.encoding) is not None:
        steps, shape, dtype = [Encode(encoding)], (len(encoding.inputs),), torch.float64
    steps += steps_of(predictor.features, predictor.input_shape)
    scale = predictor.target_scale
    units = None if scale is None else Units(scale)
    return Network(steps, predictor.model, units, shape, dtype, run.has_probabilities)


def steps_of(features: Features, shape: tuple[int, ...], *, first: bool = True) -> list[Step]:
    """Return the steps of features for inputs of a shape, standardisation included.

    `first` tells whether the inputs are the raw ones.

    Raises
    ------
    UserError
        See `network_of`.
    """
    if isinstance(features, Chain):
        chain: list[Step] = []
        for place, part in enumerate(features.steps()):
            chain += steps_of(part, shape, first=place == 0)
            shape = part.output_shape
        return chain
    steps = _extraction(features, shape, first)
    if features.standardize.per != "none":
        steps.append(Scale(features.standardize, features.output_shape))
    return steps


def _extraction(features: Features, shape: tuple[int, ...], first: bool) -> list[Step]:
    """Return the steps of features without their standardisation."""
    match features:
        case Raw():
            return []
        case Pixels() if first and set(features.before) <= {"grayscale"}:
            channels, height, width = shape
            return [Grey((channels if place == 0 else 1, height, width)) for place in range(len(features.before))]
        case Pca():
            return [Project(features.projection.mean, features.projection.matrix)]
        case Whiten():
            matrix = features.whitening.matrix
            if features.whitening.method == "cholesky":  # W = L⁻¹, and rows are multiplied by its transpose
                unit = torch.eye(len(matrix), dtype=torch.float64)
                matrix = torch.linalg.solve_triangular(matrix.double(), unit, upper=False).T
            return [Project(features.whitening.mean, matrix)]
        case Polar():
            return [PolarCoordinates()]
        case Quantile():
            return [QuantileShares(features)]
        case PiecewiseLinear():
            return [BinPlaces(features.bins)]
        case Concat():
            parts = [part for part in features.parts if isinstance(part, Features)]
            size = torch.Size(shape).numel()
            return [Side([_extraction(part, shape, first) for part in parts], size)]
    name = features.name or re.sub(r"(?<!^)(?=[A-Z])", "_", type(features).__name__).lower()
    raise UserError(f"features={name} cannot be exported; {CAN}")
