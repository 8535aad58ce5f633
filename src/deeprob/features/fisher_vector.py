"""Fisher vectors: describe how the patches of a picture differ from a mixture of Gaussians."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from deeprob.config import number, register
from deeprob.errors import UserError
from deeprob.features.mixture import Mixture
from deeprob.features.patch_features import PatchFeatures, PatchFeaturesConfig, PatchSettings
from deeprob.features.pca import PrincipalAxes, fit_components


@register("features", "fisher_vector")
@dataclass(kw_only=True, slots=True)
class FisherVectorConfig(PatchFeaturesConfig):
    """A Fisher vector: the way in which the patches of a picture differ from a learned mixture of Gaussians.

    Attributes
    ----------
    components
        The number of principal components of a patch that are kept.
    gaussians
        The number of Gaussians in the mixture.
    iterations
        The number of iterations of expectation-maximisation (EM), which learns the mixture.
    """

    components: int = number(64, minimum=1)
    gaussians: int = number(16, minimum=1)
    iterations: int = number(20, minimum=0)

    def build(self, input_shape: tuple[int, ...]) -> "FisherVector":
        """Return the feature. Its mixture is not fitted yet.

        Raises
        ------
        UserError
            If inputs are not pictures, are smaller than a patch, have fewer patches along a side than `grid`, or fewer
            numbers per patch than `components`.
        """
        patches = self.patches(input_shape)
        fit_components("fisher_vector", self.components, patches.descriptor.count, "patches")
        return FisherVector(
            patches,
            components=self.components,
            gaussians=self.gaussians,
            iterations=self.iterations,
            grid=self.grid,
        )


class FisherVector(PatchFeatures):
    """Describe each region of a picture by the Fisher vector of its patches.

    The vector of a region is computed in five steps:

    1. Project each patch onto K principal components.
    2. Compute the log-likelihood of the patches under a mixture of N Gaussians. Take the gradients with respect to the
       means and the standard deviations of the Gaussians.
    3. Scale the gradients so that their variances are similar.
    4. Replace each number v by sign(v)·√|v|.
    5. Scale the vector to length 1.

    With a grid of R = g × g regions, a picture has 2·N·R·K features. Source: Sánchez, Perronnin, Mensink & Verbeek,
    "Image classification with the Fisher vector", 2013.

    Parameters
    ----------
    settings
        See `PatchFeatures`.
    components, gaussians, iterations, grid
        See `FisherVectorConfig`.
    """

    doing: ClassVar[str] = "computing Fisher vectors"

    def __init__(
        self,
        settings: PatchSettings,
        *,
        components: int,
        gaussians: int,
        iterations: int,
        grid: int,
    ) -> None:
        super().__init__(settings, 2 * gaussians * grid**2 * components)
        self.iterations = iterations
        self.grid = grid
        self.projection = PrincipalAxes(settings.descriptor.count, components)
        self.mixture = Mixture(gaussians, components)

    def fit(self, inputs: Tensor, weights: Tensor | None = None) -> Tensor:
        """Learn the projection and the mixture from training pictures (N, C, H, W); return the pictures' features.

        Raises
        ------
        UserError
            If the mixture has more Gaussians than there are patches to learn from.
        """
        rows, columns = self.patches.grid
        available, gaussians = min(self.samples, len(inputs) * rows * columns), len(self.mixture.shares)
        if available < gaussians:
            raise UserError(
                f"features=fisher_vector gaussians={gaussians}: there are only {available} patches to learn from"
            )
        return super().fit(inputs, weights)

    def learn(self, patches: Tensor, rng: torch.Generator) -> None:
        """Learn the projection and the mixture from patches (M, D)."""
        self.projection.fit(patches)
        self.mixture.fit(self.projection(patches), rng, self.iterations)

    def describe_patches(self, patches: Tensor) -> Tensor:
        """Return the features (B, R·N·2·K) of pictures, given their patches (B, P, D).

        They are ordered by region, then by Gaussian. For each Gaussian, the K numbers for its mean come before the K
        numbers for its deviation.
        """
        points = self.projection(patches)
        posteriors = self.mixture.logs(points).softmax(2)
        rows, columns = self.patches.grid
        fields = [values.unflatten(1, (rows, columns)) for values in (posteriors, points)]
        edges = [[i * side // self.grid for i in range(self.grid + 1)] for side in (rows, columns)]
        vectors = []
        for top, bottom in zip(edges[0], edges[0][1:], strict=False):
            for left, right in zip(edges[1], edges[1][1:], strict=False):
                inside = [field[:, top:bottom, left:right].flatten(1, 2) for field in fields]
                vectors.append(power_normalized(self.mixture.gradients(*inside)))
        return torch.stack(vectors, 1).flatten(1)


def power_normalized(gradients: Tensor) -> Tensor:
    """Replace each number v of `gradients` (B, N, 2K) by sign(v)·√|v|, then scale each picture's numbers to length 1.

    If all numbers of a picture are 0, they stay 0.
    """
    flat = gradients.flatten(1)
    roots = flat.sign() * flat.abs().sqrt()
    lengths: Tensor = torch.linalg.vector_norm(roots, dim=1, keepdim=True)
    return (roots / lengths.clamp(min=1e-12)).view(gradients.shape)
