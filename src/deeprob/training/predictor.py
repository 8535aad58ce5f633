"""Features and model together, from raw inputs to scores."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deeprob.features import Features
from deeprob.models import Model


@dataclass(frozen=True)
class Predictor:
    """What a run trains, and what is left of it.

    Attributes
    ----------
    input_shape
        One raw input's shape.
    outputs, classes
        Scores an example, and the classes' names if it is classes that they are for.
    bf16
        Whether products of matrices are computed in bfloat16.
    """

    features: Features
    model: Model
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...]
    bf16: bool = False

    def to(self, device: torch.device, dtype: torch.dtype) -> "Predictor":
        """Move everything to a device and a type of numbers, in place."""
        self.features.to(device, dtype)
        self.model.to(device, dtype)
        return self

    def scores(self, extracted: Tensor) -> Tensor:
        """Return scores (B, C) of extracted features (B, …), without noise and with running means."""
        training = self.model.training
        self.model.eval()
        scores = forward(self.model, self.features, extracted, None, self.bf16)
        self.model.train(training)
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds beside the training state."""
        return {
            "input_shape": list(self.input_shape),
            "outputs": self.outputs,
            "classes": list(self.classes),
            "features": self.features.state_dict(),
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Take features and weights from a checkpoint."""
        self.features.load_state_dict(content["features"])
        self.model.load_state_dict(content["model"])

    def chunk_size(self) -> int:
        """Return how many examples, with their activations and gradients, take about 256 MB."""
        weights = [p for p in self.model.parameters() if p.dim() >= 2]
        numbers = self.features.output_count + sum(weight.shape[0] for weight in weights)
        return max(1, 2**28 // (3 * numbers * weights[0].element_size()))


def forward(model: Model, features: Features, extracted: Tensor, key: Tensor | None, bf16: bool) -> Tensor:
    """Return scores (B, C) in the features' type of numbers; `bf16` lets autocast compute products in bfloat16."""
    inputs: Tensor = features(extracted)
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=bf16):
        scores: Tensor = model(inputs, key)
    return scores.to(inputs.dtype)
