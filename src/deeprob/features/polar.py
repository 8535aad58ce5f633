"""Cartesian to polar coordinates: the lecture's example of a feature transformation."""

from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob.config import register
from deeprob.errors import UserError
from deeprob.features.base import Features, FeaturesConfig


@register("features", "polar")
@dataclass(kw_only=True, slots=True)
class PolarConfig(FeaturesConfig):
    """Polar coordinates: the radius and the angle of points of the plane."""

    def build(self, input_shape: tuple[int, ...]) -> "Polar":
        """Return the feature.

        Raises
        ------
        UserError
            If inputs are not points of the plane.
        """
        if input_shape != (2,):
            raise UserError(f"features=polar needs points of the plane, not inputs of shape {list(input_shape)}")
        return Polar(input_shape, self.standardize)


class Polar(Features):
    """Map (x, y) to (r, θ) with r = √(x² + y²) and θ in (−π, π]; the origin has θ = 0."""

    def extract(self, inputs: Tensor) -> Tensor:
        """Return the radius and the angle (N, 2) of points (N, 2)."""
        x, y = inputs.unbind(1)
        return torch.stack([torch.hypot(x, y), torch.atan2(y, x)], dim=1)
