"""The base classes of features that describe a picture by its patches.

A patch is a small window of a picture. The features first learn from some patches of the training pictures.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.config import choice, name_of, number
from deeprob.errors import UserError
from deeprob.features.patches import Descriptor, Edges, Levels, choose, pick
from deeprob.features.picture_features import PictureFeatures, PictureFeaturesConfig

DESCRIPTORS = ("levels", "edges")
_PICTURES = 10_000
"""The patches for learning are drawn from at most this many random training pictures."""


@dataclass(kw_only=True, slots=True)
class PatchFeaturesConfig(PictureFeaturesConfig):
    """Fields of every feature of patches, which are small windows of a picture.

    Attributes
    ----------
    descriptor
        The numbers that describe a patch. ``levels`` takes the values of the pixels. ``edges`` takes a histogram of the
        edge directions.
    patch
        The side of a patch, in pixels.
    stride
        The distance from one patch to the next, in pixels.
    contrast
        A number that is added to the variance of a patch, for descriptor=levels. The mean of the patch is subtracted,
        then the patch is divided by √(variance + contrast). Pixels have values from 0 to 255. With null, patches stay
        unchanged.
    grid
        The number of regions along each side of a picture. Each region is described by the patches in it. With 1, the
        region is the whole picture.
    mirror
        Whether to average the features of a picture and of its mirror image. The scores of a linear classifier are then
        averaged too. This takes twice the time.
    samples
        The number of patches that the feature learns from.
    seed
        The seed of all random draws while the feature learns, such as the draw of the patches.
    """

    descriptor: str = choice("levels", among=DESCRIPTORS)
    patch: int = number(6, minimum=1)
    stride: int = number(1, minimum=1)
    contrast: float | None = number(10.0, above=0, optional=True)
    grid: int = number(2, minimum=1)
    mirror: bool = False
    samples: int = number(400_000, minimum=1)
    seed: int = number(0, minimum=0)

    def problems(self) -> Iterator[str]:
        """Yield a message for each contradiction between fields."""
        if self.descriptor == "edges" and self.patch % Edges.cells:
            cells, larger = Edges.cells, self.patch + -self.patch % Edges.cells
            yield f"patch={self.patch}: descriptor=edges cuts a patch into {cells}×{cells} cells; set patch={larger}"

    def patches(self, input_shape: tuple[int, ...]) -> "PatchSettings":
        """Return the settings for inputs of shape `input_shape`.

        Raises
        ------
        UserError
            If inputs are not pictures, are smaller than a patch, or have fewer patches along a side than `grid`.
        """
        shape = self.shape(input_shape)
        _, height, width = shape
        side = min(height, width)
        name, size = name_of(self), f"pictures have {width}×{height} pixels"
        if self.patch > side:
            raise UserError(f"features={name} patch={self.patch}: {size}; patch is at most {side}")
        if self.descriptor == "edges":
            descriptor: Descriptor = Edges(shape, self.patch, self.stride)
        else:
            descriptor = Levels(shape, self.patch, self.stride, self.contrast)
        if self.grid > (across := min(descriptor.grid)):
            raise UserError(
                f"features={name} grid={self.grid}: {size}, {across} patches per side; grid is at most {across}"
            )
        return PatchSettings(descriptor, self.standardize, tuple(self.before), self.mirror, self.samples, self.seed)


@dataclass(frozen=True)
class PatchSettings:
    """The settings of features that are computed from patches.

    Attributes
    ----------
    descriptor
        The object that cuts pictures into patches and describes each patch by numbers.
    standardize, before
        See `PictureFeatures`.
    mirror, samples, seed
        See `PatchFeaturesConfig`.
    """

    descriptor: Descriptor
    standardize: str
    before: tuple[str, ...]
    mirror: bool
    samples: int
    seed: int


class PatchFeatures(PictureFeatures):
    """The base class of features that are computed from patches.

    Parameters
    ----------
    settings
        See `PatchSettings`.
    output_count
        Number of features per picture.
    """

    def __init__(self, settings: PatchSettings, output_count: int) -> None:
        descriptor = settings.descriptor
        rows, columns = descriptor.grid
        super().__init__(
            (output_count,), settings.standardize, list(settings.before), rows * columns * descriptor.count
        )
        self.patches = descriptor
        self.mirror = settings.mirror
        self.samples = settings.samples
        self.seed = settings.seed

    @abstractmethod
    def learn(self, patches: Tensor, rng: torch.Generator) -> None:
        """Learn from the descriptions (M, D) of random patches of the training pictures."""

    @abstractmethod
    def describe_patches(self, patches: Tensor) -> Tensor:
        """Return the features (B, output_count) of B pictures from the descriptions (B, P, D) of their patches."""

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Learn from training pictures (N, C, H, W), and return the features of these pictures.

        The weights of the pictures have no effect on what is learned from their patches.
        """
        rng = randomness.generator(self.seed, "patches")
        chosen = inputs[choose(len(inputs), _PICTURES, rng).to(inputs.device)]
        share = -(-self.samples // len(chosen))
        self.learn(torch.cat([pick(self.patches(some), share, rng) for _, some in self.prepared(chosen)]), rng)
        return super().fit(inputs, weights)

    def describe(self, pictures: Tensor) -> Tensor:
        """Return features (B, output_count) of pictures (B, C, H, W), which are floats from 0 to 255."""
        described = self.describe_patches(self.patches(pictures))
        if self.mirror:
            described.add_(self.describe_patches(self.patches(pictures.flip(3)))).div_(2)
        return described
