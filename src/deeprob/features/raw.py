"""The unchanged inputs: coordinates, columns of a table, pixels."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from deeprob.config import register
from deeprob.features.base import Features, FeaturesConfig


@register("features", "raw")
@dataclass(kw_only=True, slots=True)
class RawConfig(FeaturesConfig):
    """The raw inputs, which are only standardised."""

    unchanged: ClassVar[bool] = True

    def build(self, input_shape: tuple[int, ...]) -> "Raw":
        """Return the feature for inputs of shape `input_shape`."""
        return Raw(input_shape, self.standardize)


class Raw(Features):
    """The unchanged inputs. Pictures stay uint8 until a batch is standardised."""

    def extract(self, inputs: Tensor) -> Tensor:
        """Return `inputs` itself."""
        return inputs
