"""Bags of visual words: describe a picture by how similar its patches are to typical patches.

A patch is a small window of a picture. The typical patches are learned. Each of them is called a word, and all words
together are called the codebook.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deeprob.config import choice, number, register
from deeprob.errors import UserError
from deeprob.features.codebook_learning import codebook, directions
from deeprob.features.codes import coded, regions_of, thresholded
from deeprob.features.patch_features import PatchFeatures, PatchFeaturesConfig, PatchSettings
from deeprob.features.votes import regions
from deeprob.features.whitening import Whitening

CODES = ("triangle", "hard", "threshold")


@register("features", "bag_of_words")
@dataclass(kw_only=True, slots=True)
class BagOfWordsConfig(PatchFeaturesConfig):
    """A bag of visual words: how many patches of a picture are similar to each of the typical patches, called words.

    Attributes
    ----------
    words
        The number of words, which are learned from the training pictures.
    code
        The rule that decides for which words a patch counts. With ``hard``, a patch counts for the nearest word only.
        With ``triangle``, it counts for each word whose distance is below the mean distance to all words. With
        ``threshold``, it counts for a word if their dot product is above `threshold`, and for the opposite of a word if
        the dot product is below −`threshold`.
    threshold
        For code=threshold: a patch counts for a word if their dot product is above this number. Dot products are
        computed after whitening.
    epsilon
        A number that is added to the variance along each principal axis when patches are whitened. It is given as a
        multiple of the mean variance. With a larger number, axes with little variance are amplified less. With null,
        patches are not whitened.
    iterations
        The number of iterations of the algorithm that learns the words.
    """

    words: int = number(1600, minimum=2)
    code: str = choice("triangle", among=CODES)
    threshold: float = number(0.15, minimum=0)
    epsilon: float | None = number(1.0, above=0, optional=True)
    iterations: int = number(10, minimum=0)

    def problems(self) -> Iterator[str]:
        """Yield a message for each contradiction between fields."""
        yield from PatchFeaturesConfig.problems(self)
        if self.words > self.samples:
            yield f"words={self.words}: learning needs as many patches or more; raise samples={self.samples}"

    def build(self, input_shape: tuple[int, ...]) -> "BagOfWords":
        """Return the feature. Its codebook is not learned yet.

        Raises
        ------
        UserError
            If inputs are not pictures, are smaller than a patch, or have fewer patches along a side than `grid`.
        """
        return BagOfWords(
            self.patches(input_shape),
            words=self.words,
            code=self.code,
            threshold=self.threshold,
            epsilon=self.epsilon,
            iterations=self.iterations,
            grid=self.grid,
        )


class BagOfWords(PatchFeatures):
    """Describe each region of a picture by the mean code of the patches in the region.

    The code of a patch has one number for each word, which tells how strongly the patch counts for the word. With K
    words and a grid of g × g regions, a picture has K·g² features. With ``code=threshold`` it has 2K·g² features,
    because a word and its opposite have separate codes (see `thresholded`). Source: Coates, Ng & Lee, "An analysis of
    single-layer networks in unsupervised feature learning", 2011.

    Parameters
    ----------
    settings
        See `PatchFeatures`.
    words, code, threshold, epsilon, iterations, grid
        See `BagOfWordsConfig`.
    """

    doing: ClassVar[str] = "counting words"

    words: Tensor
    regions: Tensor

    def __init__(
        self,
        settings: PatchSettings,
        *,
        words: int,
        code: str,
        threshold: float,
        epsilon: float | None,
        iterations: int,
        grid: int,
    ) -> None:
        super().__init__(settings, words * (2 if code == "threshold" else 1) * grid**2)
        self.code = code
        self.threshold = threshold
        self.epsilon = epsilon
        self.iterations = iterations
        rows, columns = settings.descriptor.grid
        self.whitening = Whitening(settings.descriptor.count)
        self.register_buffer("words", torch.zeros(words, settings.descriptor.count))
        self.register_buffer("regions", regions_of(regions(rows, grid), regions(columns, grid)), persistent=False)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Learn the whitening and the words from training pictures (N, C, H, W); return the pictures' features.

        Raises
        ------
        UserError
            If the pictures have fewer patches than the codebook has words.
        """
        available = len(inputs) * self.regions.shape[1]
        if available < len(self.words):
            raise UserError(
                f"features=bag_of_words words={len(self.words)}: the training pictures have only {available} patches"
            )
        return super().fit(inputs, weights)

    def learn(self, patches: Tensor, rng: torch.Generator) -> None:
        """Learn the whitening and the words from patches (M, D)."""
        if self.epsilon is not None:
            self.whitening.fit(patches, self.epsilon)
            patches = self.whitening(patches)
        find = directions if self.code == "threshold" else codebook
        self.words.copy_(find(patches, len(self.words), rng, self.iterations))

    def describe_patches(self, patches: Tensor) -> Tensor:
        """Return the mean codes (B, g²·K) of patches (B, P, D), ordered by region, then by word.

        With ``code=threshold``, the shape is (B, g²·2K).
        """
        return self.codes(patches, self.regions).flatten(1)

    def codes(self, patches: Tensor, regions: Tensor) -> Tensor:
        """Return the mean codes (B, R, K) of patches (B, P, D) in each of R regions.

        With ``code=threshold``, the shape is (B, R, 2K): first the codes of the K words, then the codes of their
        opposites. Each row of `regions` (R, P) holds the weights of the patches in the mean over one region. If
        `regions` is the identity matrix, the result is the code of each patch.
        """
        whitened = self.whitening(patches) if self.epsilon is not None else patches
        if self.code == "threshold":
            return thresholded(whitened, self.words, regions, self.threshold)
        return coded(whitened, self.words, regions, hard=self.code == "hard")
