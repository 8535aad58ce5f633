"""The base of figures that show example pictures.

The functions choose examples, find a feature of a run, and draw on a sheet. A sheet is a drawing area whose coordinates
are in inches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.image import AxesImage
from torch import Tensor

from deeprob import randomness
from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number
from deeprob.data import Examples
from deeprob.features import ChainConfig, ConcatConfig, Features, FeaturesConfig
from deeprob.features.chain import Chain
from deeprob.features.concat import Concat
from deeprob.features.picture_features import PictureFeatures, levels
from deeprob.figures.base import FigureConfig
from deeprob.figures.caps import rows_within, some_of
from deeprob.figures.style import FAINT, INK, shortened

WIDTH, HEAD, LINE, GAP = 8.0, 0.42, 0.18, 0.14
"""In inches: the width of a sheet, the heights of its title and of a line of text, and the gap between pictures."""

SWATCHES_AND_HEAD = 2.9
"""The largest height of the title, the remark and the colors of a palette above the examples, in inches."""

Config = TypeVar("Config", bound=FeaturesConfig)


@dataclass(kw_only=True, slots=True)
class ExamplesConfig(FigureConfig):
    """Options of figures that show some examples.

    Attributes
    ----------
    examples
        The number of examples. One example of each class comes first, then a second example of each class, and so on.
    split
        The split from which the examples are chosen.
    seed
        The seed of the random choice of examples.
    """

    examples: int = number(6, minimum=1, maximum=100)
    split: str = choice("test", among=SPLITS)
    seed: int = number(0, minimum=0)

    def rows_of(self, run: Run) -> tuple[int, float]:
        """Return the number of examples per row, and the height of a row in inches."""
        return 1, 1.0

    def most(self, run: Run) -> int:
        """Return the number of examples to show: `examples`, or fewer if the sheet is too small."""
        across, height = self.rows_of(run)
        return min(self.examples, across * rows_within(height, SWATCHES_AND_HEAD))

    def cut(self, run: Run) -> str:
        """Return a text that says how many examples are shown, or an empty text if all fit on the sheet."""
        return some_of(self.most(run), min(self.examples, len(run.examples(self.split))), "examples", "the first")

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 1, since a panel takes the whole width."""
        return 1

    def chosen(self, run: Run) -> tuple[Examples, list[str]]:
        """Return the examples to show, on the CPU, and their titles.

        The title of an example is its class. If the run has no classes, the title is the example's number.

        Raises
        ------
        UserError
            When the run has no such split.
        """
        split = run.examples(self.split)
        rng = randomness.generator(self.seed, "examples")
        targets = split.targets.cpu() if run.classes else torch.zeros(len(split), dtype=torch.int64)
        places = in_turn(targets, rng)[: self.most(run)]
        some = split[places.to(split.targets.device)]
        some = Examples(some.inputs.cpu(), some.targets.cpu())
        if run.classes:
            return some, [shortened(run.classes[target], 18) for target in some.targets.tolist()]
        return some, [f"no. {place}" for place in places.tolist()]


def in_turn(targets: Tensor, rng: torch.Generator) -> Tensor:
    """Return the indices (N,) of all examples. The order is random, but the classes alternate.

    One example of each class comes first, then a second example of each class, and so on. Example: if `targets` are
    0, 0, 1, the classes in the new order are 0, 1, 0.
    """
    order = torch.randperm(len(targets), generator=rng)
    classes = targets[order]
    by_class = classes.argsort(stable=True)
    counts = torch.bincount(classes)
    first = counts.cumsum(0) - counts
    turn = torch.arange(len(targets)) - first[classes[by_class]]
    return order[by_class[turn.argsort(stable=True)]]


def needs_pictures(run: Run) -> str:
    """Return the reason why a figure of pictures cannot show `run`, or an empty text if it can."""
    return "" if len(run.predictor.input_shape) == 3 else "needs pictures, but the run's inputs are not pictures"


def part_of(run: Run, kind: type[Config]) -> tuple[Config, PictureFeatures] | None:
    """Find the first feature of a run whose config has the type `kind`. Return the config and the feature.

    The search includes all parts of a concat and the first part of a chain. If there is no such feature, return None.
    """
    return _part_within(run.config.features, run.predictor.features, kind)


def _part_within(
    config: FeaturesConfig, features: Features, kind: type[Config]
) -> tuple[Config, PictureFeatures] | None:
    """Return the result of `part_of` for `features` and their config."""
    if isinstance(config, kind):
        assert isinstance(features, PictureFeatures)
        return config, features
    if isinstance(config, ConcatConfig):
        assert isinstance(features, Concat)
        for part_config, part in zip(config.features(), features.parts, strict=True):
            assert isinstance(part, Features)
            if found := _part_within(part_config, part, kind):
                return found
    if isinstance(config, ChainConfig):  # only the first part sees pictures
        assert isinstance(features, Chain)
        return _part_within(config.features()[0], features.steps()[0], kind)
    return None


def the_part(run: Run, kind: type[Config]) -> tuple[Config, PictureFeatures]:
    """Return the result of `part_of`. The run must have a feature of this type."""
    found = part_of(run, kind)
    assert found is not None
    return found


def of_whole(shares: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return the shares (B, K) of B whole pictures, computed from the shares of R × C regions.

    Parameters
    ----------
    shares
        The shares (B, K, R, C) of the pixels of each region.
    rows, columns
        The weights (R, H) and (C, W) of `deeprob.features.votes.regions`. Regions may differ in size.
    """
    high, wide = ((part > 0).sum(1) / part.shape[1] for part in (rows, columns))
    return torch.einsum("bkrc,r,c->bk", shares, high.to(shares), wide.to(shares))


def as_rgb(picture: Tensor) -> Tensor:
    """Convert a picture (C, H, W) to floats (H, W, 3) in [0, 1].

    The picture contains uint8, or floats in [0, 1]. If it does not have three channels, it becomes grey.
    """
    pixels = levels(picture, torch.float32) / 255
    return (pixels if len(pixels) == 3 else pixels.mean(0).expand(3, -1, -1)).permute(1, 2, 0)


def faded(pixels: Tensor, left: float) -> Tensor:
    """Return a paler picture for a background. The share `left` of the contrast remains."""
    return 1 - left * (1 - pixels)


class Box(NamedTuple):
    """The place and the size of a picture on a sheet, in inches. `scale` is the side of a pixel in inches."""

    left: float
    top: float
    width: float
    height: float
    scale: float


def boxed(shape: Sequence[int], left: float, top: float, side: float) -> Box:
    """Return the box of a picture of shape (…, H, W). The longer side of the box is `side` inches."""
    height, width = shape[-2:]
    scale = side / max(height, width)
    return Box(left, top, width * scale, height * scale, scale)


def height_of(shape: Sequence[int], side: float) -> float:
    """Return the height in inches of a picture (…, H, W), scaled to fit into a square of `side` inches."""
    height, width = shape[-2:]
    return side * min(1.0, height / width)


def row_height(run: Run, side: float) -> float:
    """Return the height in inches of a row of pictures, the titles above the row and the gap below the row.

    `side` is the side of the square that contains a picture, in inches.
    """
    return LINE + height_of(run.predictor.input_shape, side) + GAP


def put(axes: Axes, pixels: Tensor, box: Box, **options: Any) -> AxesImage:
    """Draw a picture (H, W, 3) or (H, W, 4) in a box."""
    extent = (box.left, box.left + box.width, box.top + box.height, box.top)
    return axes.imshow(pixels.numpy(), extent=extent, **options)


def sheet(canvas: FigureBase, height: float, title: str, remark: str = "") -> Axes:
    """Return the axes of a new sheet. It is `WIDTH` inches wide and `height` inches high.

    Coordinates are in inches, and y points down. The title is above the axes. The remark is the first line on the axes.
    """
    axes = canvas.subplots()
    axes.set_axis_off()
    axes.set_anchor("NW")
    axes.set(xlim=(0, WIDTH), ylim=(height, 0), aspect="equal")
    axes.set_title(title)
    axes.text(0, 0, remark, fontsize=8, color=FAINT, va="top", in_layout=False)
    return axes


def caption(axes: Axes, x: float, y: float, text: str, *, faint: bool = False, middle: bool = False) -> None:
    """Write a line of text above y. The text begins at x. If `middle`, the text is centred on x."""
    ink, side = FAINT if faint else INK, "center" if middle else "left"
    axes.text(x, y, text, fontsize=8, color=ink, va="bottom", ha=side)
