"""The features and the model of a run. Together they compute scores from inputs."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deeprob.data import Encoding
from deeprob.features import Features, Standardize
from deeprob.models import Model
from deeprob.objective import Loss
from deeprob.training.scoring import Scoring


@dataclass(frozen=True)
class Predictor:
    """The features and the model of a run. Together they compute scores from inputs.

    The features of each example are extracted once. Later, the features of each batch are standardised for the model.

    Attributes
    ----------
    input_shape
        The shape of one raw input.
    outputs
        The number of scores per example.
    classes
        The names of the classes. Empty for regression.
    bf16
        Whether matrix products are computed in bfloat16.
    target_scale
        The standardisation of the targets. Scores have the units of standardised targets. None if targets are not
        standardised.
    encoding
        What the columns of a table became; None if the dataset is not a table.
    """

    features: Features
    model: Model
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...]
    bf16: bool = False
    target_scale: Standardize | None = None
    encoding: Encoding | None = None

    def to(self, device: torch.device, dtype: torch.dtype) -> "Predictor":
        """Move the features and the model to a device and a dtype, in place."""
        self.features.to(device, dtype)
        self.model.to(device, dtype)
        if self.target_scale is not None:
            self.target_scale.to(device, dtype)
        return self

    def scores(self, extracted: Tensor) -> Tensor:
        """Return the scores (B, C) of extracted inputs (B, …), with the model in evaluation mode."""
        training = self.model.training
        self.model.eval()
        scores = forward(self.model, self.features(extracted), None, self.bf16)
        self.model.train(training)
        return scores

    def predicted(self, extracted: Tensor) -> Tensor:
        """Return the scores (B, C) of extracted inputs (B, …). Predicted numbers are in the units of the dataset."""
        scores = self.scores(extracted)
        return scores if self.target_scale is None else self.target_scale.restored(scores)

    def scoring(self, loss: Loss) -> Scoring:
        """Return the function that measures the scores of a split. Errors are in the units of the dataset."""
        deviation = None if self.target_scale is None else self.target_scale.deviation
        return Scoring(self.classes, loss.probabilities, deviation)

    def state_dict(self) -> dict[str, Any]:
        """Return the values that a checkpoint holds in addition to the training state."""
        parts: dict[str, Any] = {}
        if self.target_scale is not None:
            parts["targets"] = self.target_scale.state_dict()
        if self.encoding is not None:
            parts["encoding"] = self.encoding.to_json()
        return parts | {
            "input_shape": list(self.input_shape),
            "outputs": self.outputs,
            "classes": list(self.classes),
            "features": self.features.state_dict(),
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Load the states of the features, the target scale and the model from the content of a checkpoint."""
        self.features.load_state_dict(content["features"])
        if self.target_scale is not None:
            self.target_scale.load_state_dict(content["targets"])
        self.model.load_state_dict(content["model"])

    def chunk_size(self) -> int:
        """Return the number of examples that fit in about 256 MB with their activations and gradients."""
        weights = [p for p in self.model.parameters() if p.dim() >= 2]
        numbers = self.features.output_count + sum(weight.shape[0] for weight in weights)
        return max(1, 2**28 // (3 * numbers * self.features.like.element_size()))


def forward(model: Model, inputs: Tensor, key: Tensor | None, bf16: bool) -> Tensor:
    """Return scores (B, C) in the dtype of the prepared inputs. `bf16`: matrix products are computed in bfloat16."""
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
        scores: Tensor = model(inputs, key)
    return scores.to(inputs.dtype)
