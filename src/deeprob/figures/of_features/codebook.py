"""The words of a codebook as small pictures. A word is a typical patch of the training pictures."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from matplotlib.figure import FigureBase
from torch import Tensor

from deeprob import randomness
from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.features.bag_of_words import BagOfWords, BagOfWordsConfig
from deeprob.features.whitening import Whitening
from deeprob.figures.bank import Bank, Tile
from deeprob.figures.base import FigureConfig
from deeprob.figures.of_features.picture_sheet import part_of, the_part

ORDERS = ("use", "hue")

SAMPLE = 50_000
"""The approximate number of patches that are used to compute the use of each word."""


@register("figure", "codebook")
@dataclass(kw_only=True, slots=True)
class CodebookConfig(FigureConfig):
    """The most used words of a codebook, as small pictures. The first word is at the upper left.

    A word is a typical patch of pictures. The use of a word is the mean of its code over all patches of some random
    pictures. If the features remove brightness and contrast from patches, the value 0 is drawn as mid-grey, and each
    word is drawn with the highest contrast.

    Attributes
    ----------
    words
        The largest number of words that are shown.
    order
        The order of the words. ``use`` shows the most used word first. ``hue`` sorts the words by the hue of their
        mean color: first red words, then green words, blue words and grey words.
    split
        The split of the random pictures.
    seed
        The seed of the random choice of pictures.
    """

    words: int = number(400, minimum=1, maximum=400)
    order: str = choice("use", among=ORDERS)
    split: str = choice("train", among=SPLITS)
    seed: int = number(0, minimum=0)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_words(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return self._bank(run, torch.arange(len(bag_of(run)[1].words))).size()

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        (config, feature), inputs = bag_of(run), run.examples(self.split).inputs
        count = max(1, SAMPLE // feature.regions.shape[1])
        drawn = torch.randperm(len(inputs), generator=randomness.generator(self.seed, "codebook"))[:count]
        usage = use(feature, inputs[drawn.to(inputs.device)])
        order = usage.argsort(descending=True, stable=True)[: self.words]
        if self.order == "hue":
            order = order[hues(pixels_of(config, feature)[order]).argsort(stable=True)]
        self._bank(run, order).draw(canvas.subplots())

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 1, since a panel takes the whole width."""
        return 1

    def _bank(self, run: Run, order: Tensor) -> Bank:
        """Return a bank with the pictures of the words whose numbers are in `order`."""
        config, feature = bag_of(run)
        tiles = [Tile(patch) for patch in visible(config, feature)[order[: self.words]]]
        columns = min(20, math.ceil(math.sqrt(len(tiles) * 1.6)))
        rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
        total, side = config.words, config.patch
        some = "" if len(tiles) == total else f"the {len(tiles)} most used "
        how = "by hue" if self.order == "hue" else "the most used first"
        return Bank(rows, title=f"Codebook: {some}{'of ' if some else ''}{total} words of {side}×{side} pixels, {how}")


def needs_words(run: Run) -> str:
    """Return the reason why the words of `run` cannot be drawn as pictures. If they can, return an empty text."""
    found = part_of(run, BagOfWordsConfig)
    if found is None:
        return "needs features=bag_of_words, alone, in concat or first in chain"
    if found[0].descriptor != "levels":
        return f"needs words that are pictures: descriptor=levels, not {found[0].descriptor}, in the run's features"
    return ""


def bag_of(run: Run) -> tuple[BagOfWordsConfig, BagOfWords]:
    """Return a run's bag of words and its config. The features of the run must contain a bag of words."""
    config, feature = the_part(run, BagOfWordsConfig)
    assert isinstance(feature, BagOfWords)
    return config, feature


def use(feature: BagOfWords, inputs: Tensor) -> Tensor:
    """Return the use (K,) of each word: its mean code over all patches of the pictures `inputs` (N, C, H, W)."""
    bags = torch.cat([feature.describe(pictures) for _, pictures in feature.prepared(inputs)])
    return bags.view(-1, len(feature.words)).mean(0).cpu()


def unwhitened(values: Tensor, whitening: Whitening) -> Tensor:
    """Undo whitening: return the original rows x (N, D) in double precision.

    `values` holds the whitened rows z = (x − x̄) M. Therefore x = x̄ + z M⁻¹.
    """
    matrix, mean = whitening.matrix.double().cpu(), whitening.mean.double().cpu()
    rows: Tensor = torch.linalg.solve(matrix, values.double().cpu(), left=False)
    return mean + rows


def pixels_of(config: BagOfWordsConfig, feature: BagOfWords) -> Tensor:
    """Return words as patches (K, C, side, side) in double precision.

    The numbers are pixel values from 0 to 255. If the features remove brightness and contrast from patches, 0 is the
    mean of a patch, and the numbers can be negative.
    """
    return unwhitened(feature.words, feature.whitening).view(config.words, -1, config.patch, config.patch)


def visible(config: BagOfWordsConfig, feature: BagOfWords) -> Tensor:
    """Return words as pictures (K, side, side, 3) in [0, 1].

    If the features remove contrast, each word is scaled: 0 becomes mid-grey, and the number of largest magnitude
    becomes black or white. Weak words are scaled less and stay pale. To find the weak words, take the largest magnitude
    of each word, and the 95 % quantile of these magnitudes. A word is weak if its magnitude is less than a quarter of
    the quantile.
    """
    patches = pixels_of(config, feature)
    if config.contrast is None:
        levels = patches / 255
    else:
        largest = patches.abs().flatten(1).amax(1)
        reach = largest.clamp(min=largest.quantile(0.95).item() / 4).clamp(min=1e-12)
        levels = 0.5 + 0.5 * patches / reach[:, None, None, None]
    levels = levels if levels.shape[1] == 3 else levels.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    return levels.clamp(0, 1).permute(0, 2, 3, 1).float()


def hues(patches: Tensor) -> Tensor:
    """Return the hue (K,) of the mean color of each patch.

    A hue is an angle in [0, 2π): red is 0, green is 2π/3, blue is 4π/3. Colors with negative numbers have a hue too.
    A patch is grey if its mean red, green and blue differ by less than a quarter of the patch's largest magnitude. The
    hue of a grey patch is infinite.

    Parameters
    ----------
    patches
        The patches (K, C, H, W).
    """
    means = patches.mean((2, 3))
    if means.shape[1] != 3:
        return torch.full((len(means),), math.inf)
    red, green, blue = means.unbind(1)
    angles = torch.atan2(math.sqrt(3) * (green - blue), 2 * red - green - blue).remainder(2 * math.pi)
    grey = means.amax(1) - means.amin(1) < patches.abs().flatten(1).amax(1) / 4
    return angles.masked_fill(grey, math.inf)
