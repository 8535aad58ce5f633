"""Features and model together, from raw inputs to class scores."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deeprob.data import Examples, Splits
from deeprob.features import Features
from deeprob.models import Model


@dataclass(frozen=True)
class Classifier:
    """What a run trains, and what is left of it.

    Attributes
    ----------
    input_shape
        One raw input's shape.
    classes
        The classes' names.
    """

    features: Features
    model: Model
    input_shape: tuple[int, ...]
    classes: tuple[str, ...]

    def to(self, device: torch.device, dtype: torch.dtype) -> "Classifier":
        """Move everything to a device and a precision, in place."""
        self.features.to(device, dtype)
        self.model.to(device, dtype)
        return self

    def scores(self, extracted: Tensor) -> Tensor:
        """Return scores (B, C) of extracted features (B, …), without noise."""
        scores: Tensor = self.model(self.features(extracted))
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds beside the training state."""
        return {
            "input_shape": list(self.input_shape),
            "classes": list(self.classes),
            "features": self.features.state_dict(),
        }

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Take features and weights from a checkpoint."""
        self.features.load_state_dict(content["features"])
        self.model.load_state_dict(content["model"])

    def extract(self, splits: Splits, device: torch.device) -> Splits:
        """Fit the features on the training split alone, and return every split extracted, on the device."""

        def extracted(examples: Examples) -> Examples:
            return Examples(self.features.extract(examples.inputs), examples.targets).to(device)

        train = Examples(self.features.fit(splits.train.inputs), splits.train.targets).to(device)
        val = None if splits.val is None else extracted(splits.val)
        return Splits(train, val, extracted(splits.test), splits.classes)

    def chunk_size(self) -> int:
        """Return how many examples, with their activations and gradients, take about 256 MB."""
        weights = [p for p in self.model.parameters() if p.dim() >= 2]
        numbers = self.features.output_count + sum(weight.shape[0] for weight in weights)
        return max(1, 2**28 // (3 * numbers * weights[0].element_size()))
