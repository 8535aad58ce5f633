"""The values of pixels as features, after steps such as grayscale."""

from dataclasses import dataclass

from torch import Tensor

from deeprob.config import register
from deeprob.features.picture_features import PictureFeatures, PictureFeaturesConfig


@register("features", "pixels")
@dataclass(kw_only=True, slots=True)
class PixelsConfig(PictureFeaturesConfig):
    """The values of pixels, after the steps in `before`.

    Without steps, use ``raw`` instead, because ``raw`` allows augmentation.
    """

    def build(self, input_shape: tuple[int, ...]) -> "Pixels":
        """Return the feature.

        Raises
        ------
        UserError
            If inputs are not pictures.
        """
        return Pixels(self.shape(input_shape), self.standardize, self.before)


class Pixels(PictureFeatures):
    """The values of pixels, from 0 to 255.

    Parameters
    ----------
    shape
        The shape (C, H, W) of a picture after the steps.
    standardize, before
        See `PictureFeatures`.
    """

    def __init__(self, shape: tuple[int, int, int], standardize: str, before: list[str]) -> None:
        channels, height, width = shape
        super().__init__(shape, standardize, before, 4 * channels * height * width)

    def describe(self, pictures: Tensor) -> Tensor:
        """Return `pictures` (B, C, H, W) unchanged."""
        return pictures
