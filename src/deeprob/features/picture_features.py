"""The base classes of picture features. First, steps such as grayscale are applied to the pictures."""

import dataclasses
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deeprob.config.schema import Accepted, name_of
from deeprob.errors import UserError
from deeprob.features.base import Features, FeaturesConfig
from deeprob.features.cores import on_all_cores
from deeprob.features.steps import STEPS, shape_after
from deeprob.tracking.console import Bar

_KNOWN_STEPS = Accepted(
    lambda value: all(name in STEPS for name in value), f"a list of {', '.join(STEPS)}, as in [equalize]"
)
NUMBERS = {"cpu": 640_000, "cuda": 2**27}
"""The largest number of values in memory per chunk. On a CPU, they fit into its cache. On a GPU, all cores work."""


@dataclass(kw_only=True, slots=True)
class PictureFeaturesConfig(FeaturesConfig):
    """Fields of every feature of pictures.

    Attributes
    ----------
    before
        The steps that are applied to a picture before its features are computed, in this order.
    """

    before: list[str] = dataclasses.field(default_factory=list, metadata={"accepted": _KNOWN_STEPS})

    def shape(self, input_shape: tuple[int, ...], *, color: bool = False) -> tuple[int, int, int]:
        """Return the shape (C, H, W) of pictures after the steps.

        Raises
        ------
        UserError
            If inputs are not pictures, or if `color` is true and the pictures do not have 3 channels.
        """
        if len(input_shape) != 3:
            raise UserError(f"features={name_of(self)} needs pictures, not inputs of shape {list(input_shape)}")
        channels, height, width = shape_after(self.before, input_shape)
        if color and channels != 3:
            cause = "; take grayscale out of before" if "grayscale" in self.before else ""
            raise UserError(f"features={name_of(self)} needs pictures in colour (3 channels), not {channels}{cause}")
        return channels, height, width

    def check_grid(self, grid: int, height: int, width: int) -> None:
        """Raise a `UserError` if `grid` is larger than the height or the width of a picture."""
        if grid > min(height, width):
            raise UserError(
                f"features={name_of(self)} grid={grid}: pictures have {width}×{height} pixels; "
                f"grid is at most {min(height, width)}"
            )


class PictureFeatures(Features):
    """The base class of features of pictures. A subclass defines `describe`.

    Parameters
    ----------
    output_shape, standardize
        See `Features`.
    before
        The names of the steps that are applied to pictures first (see `deeprob.features.steps`).
    numbers
        The approximate number of values in memory per picture while features are computed.

    Attributes
    ----------
    doing
        The text before the progress bar.
    """

    doing: ClassVar[str] = "extracting features"

    def __init__(self, output_shape: tuple[int, ...], standardize: str, before: list[str], numbers: int) -> None:
        super().__init__(output_shape, standardize)
        self.before = tuple(before)
        self.numbers = numbers

    @abstractmethod
    def describe(self, pictures: Tensor) -> Tensor:
        """Return the features (B, *output_shape) of pictures (B, C, H, W).

        The pictures are floats from 0 to 255, on the device of the features.
        """

    def extract(self, inputs: Tensor) -> Tensor:
        """Return features (N, *output_shape) of pictures (N, C, H, W), with a progress bar.

        Raises
        ------
        UserError
            If pictures are floats that are not in [0, 1].
        """
        like = self.like
        extracted = torch.empty((len(inputs), *self.output_shape), dtype=like.dtype, device=like.device)
        chunks = self._chunks(len(inputs))

        def describe(chunk: slice) -> int:  # stores its result itself, so that no core waits
            found = self.describe(self._prepare(inputs[chunk]))
            extracted[chunk] = found
            return len(found)

        with (
            Bar(len(inputs), self.doing, "pictures") as bar,
            closing(on_all_cores(describe, chunks, like.device)) as counts,
        ):
            for count in counts:
                bar.advance(count)
        return extracted

    def prepared(self, inputs: Tensor) -> Iterator[tuple[slice, Tensor]]:
        """Apply the steps to pictures (N, C, H, W) in chunks; yield the slice and the pictures of each chunk.

        The yielded pictures (B, C, H, W) are floats from 0 to 255.
        """
        for chunk in self._chunks(len(inputs)):
            yield chunk, self._prepare(inputs[chunk])

    def _chunks(self, count: int) -> list[slice]:
        size = max(1, NUMBERS.get(self.like.device.type, NUMBERS["cuda"]) // self.numbers)
        return [slice(start, min(start + size, count)) for start in range(0, count, size)]

    def _prepare(self, pictures: Tensor) -> Tensor:
        like = self.like
        pictures = in_range(pictures.to(like.device))
        for name in self.before:
            pictures = STEPS[name](pictures)
        return levels(pictures, like.dtype)


def in_range(pictures: Tensor) -> Tensor:
    """Check the values of `pictures`, and return the pictures unchanged.

    Raises
    ------
    UserError
        If pictures are floats, and a value is outside of [0, 1] or NaN.
    """
    if pictures.is_floating_point():
        low, high = (bound.item() for bound in pictures.aminmax())
        if not 0 <= low <= high <= 1:
            raise UserError(
                f"pictures of floats need values from 0 to 1, not {low:g} to {high:g}; give uint8, and in a chain put "
                "features of pictures first"
            )
    return pictures


def levels(pictures: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert uint8 pictures, or float pictures from 0 to 1, to floats from 0 to 255."""
    return pictures.to(dtype) * 255 if pictures.is_floating_point() else pictures.to(dtype)
