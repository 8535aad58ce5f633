"""The most frequent words of a codebook in a picture, and their places in the picture."""

from dataclasses import dataclass

import torch
from matplotlib.colors import to_rgb
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle
from torch import Tensor

from deeprob.assembly.finished import Run
from deeprob.config import number, register
from deeprob.features.bag_of_words import BagOfWords
from deeprob.figures.of_features.codebook import bag_of, needs_words, visible
from deeprob.figures.of_features.picture_sheet import (
    GAP,
    HEAD,
    LINE,
    WIDTH,
    Box,
    ExamplesConfig,
    as_rgb,
    boxed,
    caption,
    faded,
    height_of,
    put,
    sheet,
)
from deeprob.figures.style import INK, LETTER, PALETTE, shortened

PATCH = 0.4
"""The side of a word in inches."""

CHUNK = 512
"""The number of patches whose codes are in memory at the same time."""

FADED = 0.35
"""The share of a picture's contrast that remains under the heat map."""


@register("figure", "words")
@dataclass(kw_only=True, slots=True)
class WordsConfig(ExamplesConfig):
    """Pictures with their most typical words, and the places of these words in the picture.

    A word is a typical patch of pictures. The bag of words computes one number per word, and the number is
    standardised: 2 means two standard deviations above the mean of the training split. The words with the largest
    standardised numbers are shown. A frame marks the patch that is most similar to the word.

    Attributes
    ----------
    words
        The largest number of words that are shown for each picture.
    """

    examples: int = number(4, minimum=1, maximum=100)
    words: int = number(6, minimum=1, maximum=8)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_words(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height of the panel in inches."""
        return WIDTH + 0.16, HEAD + LINE + len(self.chosen(run)[1]) * self._step(run)

    def rows_of(self, run: Run) -> tuple[int, float]:
        """Return the number of examples per row, and the height of a row in inches."""
        return 1, self._step(run)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        config, feature = bag_of(run)
        examples, titles = self.chosen(run)
        step, side = self._step(run), self._side
        standard = config.standardize != "none"
        how = "standard deviations above the mean" if standard else "mean code"
        remark = f"above: a word and its {how}; below: the redder, the more of it; framed: where there is most"
        title = f"Words of each picture, of {config.words}"
        axes = sheet(canvas, LINE + len(titles) * step, title, remark)
        patches = visible(config, feature)
        for place, picture in enumerate(examples.inputs):
            ((_, seen),) = feature.prepared(picture[None])
            top = LINE + place * step + PATCH + 0.06
            caption(axes, 0, top - 0.03, shortened(titles[place], int(side / LETTER)))
            put(axes, as_rgb(picture), boxed(picture.shape, 0, top, side))
            strengths = firing(feature, seen)
            best = strengths.topk(min(self.words, len(strengths))).indices
            for column, (word, heat) in enumerate(zip(best.tolist(), maps(feature, seen, best), strict=True), 1):
                box = boxed(picture.shape, column * (side + GAP), top, side)
                put(axes, pictured(patches, word), Box(box.left, top - 0.05 - PATCH, PATCH, PATCH, 0))
                strength = f"{strengths[word].item():{'+' if standard else ''}.1f}"
                axes.text(box.left + PATCH + 0.06, top - 0.05 - PATCH / 2, strength, fontsize=8, va="center_baseline")
                put(axes, faded(as_rgb(seen[0] / 255).mean(2, keepdim=True).expand(-1, -1, 3), FADED), box)
                put(axes, tinted(heat), heated(box, heat, config.patch, config.stride))
                axes.add_patch(patch_frame(box, heat, config.patch, config.stride))

    @property
    def _side(self) -> float:
        """The side of the square that contains a picture, in inches."""
        return (WIDTH + GAP) / (self.words + 1) - GAP

    def _step(self, run: Run) -> float:
        """Return the distance from the top of a row to the top of the next row, in inches."""
        return PATCH + 0.06 + height_of(run.predictor.input_shape, self._side) + GAP


def pictured(patches: Tensor, word: int) -> Tensor:
    """Return the picture of a word. `patches` holds the pictures (K, side, side, 3) of all words.

    Word K + k is the opposite of word k. Its picture is the negative of the picture of word k.
    """
    opposite, place = divmod(word, len(patches))
    return 1 - patches[place] if opposite else patches[place]


def firing(feature: BagOfWords, picture: Tensor) -> Tensor:
    """Return the standardised number of each word in a picture, averaged over the regions of the picture.

    The picture (1, C, H, W) comes from `feature.prepared`. The result has the shape (K,). If opposites count as words,
    the shape is (2K,), and word K + k is the opposite of word k.
    """
    seen: Tensor = feature.standardize(feature.describe(picture))
    return seen.view(len(feature.regions), -1).mean(0).cpu()


def maps(feature: BagOfWords, picture: Tensor, words: Tensor) -> Tensor:
    """Return the codes of some words for each patch of a picture.

    Parameters
    ----------
    feature, picture
        The bag of words, and a picture (1, C, H, W) from `feature.prepared`. The picture is not mirrored.
    words
        The numbers (M,) of the words.

    Returns
    -------
    Tensor
        The codes (M, R, C) for R × C patches, on the CPU.
    """
    patches = feature.patches(picture)
    parts = torch.split(patches, CHUNK, 1)
    chosen = words.to(patches.device)
    each = torch.eye(min(CHUNK, patches.shape[1]), dtype=patches.dtype, device=patches.device)
    codes = torch.cat([feature.codes(part, each[: part.shape[1], : part.shape[1]])[0][:, chosen] for part in parts])
    return codes.T.reshape(len(words), *feature.patches.grid).cpu()


def tinted(heat: Tensor) -> Tensor:
    """Return codes (R, C) as an image (R, C, 4) of one color. The code 0 is transparent, the largest code opaque."""
    color = torch.tensor(to_rgb(PALETTE[5])).expand(*heat.shape, 3)
    return torch.cat([color, (heat / heat.max().clamp(min=1e-12))[..., None].float()], 2)


def heated(box: Box, heat: Tensor, patch: int, stride: int) -> Box:
    """Return the box in which the codes `heat` (R, C) are drawn over the picture in `box`.

    Each code belongs to a patch. The pixel of a code lies in the middle of the patch.
    """
    pixel, start = stride * box.scale, (patch - stride) / 2 * box.scale
    return Box(box.left + start, box.top + start, heat.shape[1] * pixel, heat.shape[0] * pixel, pixel)


def patch_frame(box: Box, heat: Tensor, patch: int, stride: int) -> Rectangle:
    """Return a frame around the patch with the largest code in `heat` (R, C). The picture is in `box`."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    corner = box.left + column * stride * box.scale, box.top + row * stride * box.scale
    return Rectangle(
        corner, patch * box.scale, patch * box.scale, fill=False, edgecolor=INK, linewidth=1.0, clip_on=False
    )
