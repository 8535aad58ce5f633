"""Mixtures of Gaussians with diagonal covariances, fitted by expectation-maximisation (EM)."""

import math

import torch
from torch import Tensor, nn

from deeprob.features.codebook_learning import codebook
from deeprob.tracking.console import Bar

_CHUNK = 2**14  # number of points whose likelihoods are in memory at once
_START = 5  # number of k-means iterations that find the initial means
_FLOOR = 1e-3  # smallest variance, as a share of the column's variance: a Gaussian cannot shrink to a single point


class Mixture(nn.Module):
    """A mixture of N Gaussians with the density p(x) = Σₙ πₙ N(x; μₙ, diag σₙ²).

    Parameters
    ----------
    count
        N, the number of Gaussians.
    numbers
        D, the number of coordinates of a point.
    """

    shares: Tensor
    means: Tensor
    variances: Tensor

    def __init__(self, count: int, numbers: int) -> None:
        super().__init__()
        self.register_buffer("shares", torch.full((count,), 1 / count))
        self.register_buffer("means", torch.zeros(count, numbers))
        self.register_buffer("variances", torch.ones(count, numbers))

    def fit(self, points: Tensor, rng: torch.Generator, iterations: int) -> list[float]:
        """Fit the mixture to points (M, D), and return the mean log-likelihood before each iteration.

        M must be at least N. A few iterations of k-means find the initial means. The variance of a Gaussian is at least
        a thousandth of the variance of all points. If no variance is at this limit, the likelihood never decreases
        (Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", 1977).
        """
        count, numbers = self.means.shape
        spread = points.double().var(0, correction=0)
        floor = (_FLOOR * spread).clamp(min=1e-12)
        self.shares.fill_(1 / count)
        self.means.copy_(codebook(points, count, rng, _START))
        self.variances.copy_(torch.maximum(spread, floor).expand(count, -1))
        likelihoods = []
        with Bar(iterations * len(points), "fitting the mixture", "points") as bar:
            for _ in range(iterations):
                sums = torch.zeros(count, 1 + 2 * numbers, dtype=torch.float64, device=points.device)
                likelihood = 0.0
                for part in torch.split(points, _CHUNK):
                    logs = self.logs(part)
                    likelihood += logs.logsumexp(1).double().sum().item()
                    sums += sums_of(logs.softmax(1), part).double()
                    bar.advance(len(part))
                self._maximize(sums, floor)
                likelihoods.append(likelihood / len(points))
        return likelihoods

    def _maximize(self, sums: Tensor, floor: Tensor) -> None:
        """Set shares, means and variances to maximise the likelihood, given the sums (N, 1 + 2D) from `sums_of`.

        Variances are at least `floor` (D,). A Gaussian without points keeps its mean and its variance, and gets a very
        small share.
        """
        numbers = self.means.shape[1]
        size = sums[:, :1]
        means, squares = torch.split(sums[:, 1:] / size.clamp(min=1e-12), numbers, 1)
        alive = size > 1e-3
        variances = torch.maximum(squares - means.square(), floor)
        self.means.copy_(torch.where(alive, means, self.means.double()))
        self.variances.copy_(torch.where(alive, variances, self.variances.double()))
        self.shares.copy_((size / size.sum()).flatten().clamp(min=1e-6))
        self.shares.div_(self.shares.sum())

    def logs(self, points: Tensor) -> Tensor:
        """Return log πₙ N(x; μₙ, σₙ²) for each of the points (…, D) and each Gaussian, with shape (…, N)."""
        # −½ Σ (x − μ)²/σ² is expanded, so that one matrix product with the points and their squares is enough
        precisions = self.variances.reciprocal()
        constant = self.shares.log() - 0.5 * (
            (2 * math.pi * self.variances).log() + self.means.square() * precisions
        ).sum(1)
        both = torch.cat([points, points.square()], -1)
        return both @ torch.cat([self.means * precisions, -0.5 * precisions], 1).T + constant

    def gradients(self, posteriors: Tensor, points: Tensor) -> Tensor:
        """Return the scaled gradients (B, N, 2D) of the mean log-likelihood of each picture's points.

        The gradients are taken with respect to the means and the standard deviations of the Gaussians. Each gradient is
        divided by the square root of its Fisher information. This square root is about √πₙ/σₙ for a mean and √(2πₙ)/σₙ
        for a deviation. So all gradients have similar variances. For M points, the result is

        - 1/(M√πₙ) Σ γ (x − μₙ)/σₙ for a mean,
        - 1/(M√(2πₙ)) Σ γ ((x − μₙ)²/σₙ² − 1) for a deviation.

        Source: Perronnin & Dance, "Fisher kernels on visual vocabularies for image categorization", 2007.

        Parameters
        ----------
        posteriors
            γ (B, M, N): the probability that each point comes from each Gaussian.
        points
            x (B, M, D).
        """
        numbers = points.shape[2]
        size, first, second = torch.split(sums_of(posteriors, points) / points.shape[1], [1, numbers, numbers], 2)
        deviations, shares = self.variances.sqrt(), self.shares[:, None]
        to_mean = (first - size * self.means) / (deviations * shares.sqrt())
        spread = (second - 2 * self.means * first + size * self.means.square()) / self.variances
        return torch.cat([to_mean, (spread - size) / (2 * shares).sqrt()], 2)


def sums_of(posteriors: Tensor, points: Tensor) -> Tensor:
    """Return the sums Σ γ, Σ γx and Σ γx² over M points, for each of N Gaussians, as one tensor (…, N, 1 + 2D).

    Parameters
    ----------
    posteriors
        γ (…, M, N): the probability that each point comes from each Gaussian.
    points
        x (…, M, D).
    """
    terms = torch.cat([torch.ones_like(points[..., :1]), points, points.square()], -1)
    return posteriors.transpose(-1, -2) @ terms
