import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from deeprob.features.mixture import Mixture, sums_of

RNG = np.random.default_rng(0)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def some_mixture(count: int = 3, numbers: int = 4) -> Mixture:
    mixture = Mixture(count, numbers).double()
    mixture.shares.copy_(torch.from_numpy(RNG.dirichlet(np.ones(count))))
    mixture.means.copy_(torch.from_numpy(RNG.normal(size=(count, numbers))))
    mixture.variances.copy_(torch.from_numpy(RNG.uniform(0.5, 2, (count, numbers))))
    return mixture


def clumps(count: int = 900) -> torch.Tensor:
    """Three clumps of their own shares, places and widths."""
    which = RNG.choice(3, count, p=[0.5, 0.3, 0.2])
    places, widths = np.array([[0.0, 0.0], [8.0, 0.0], [0.0, 8.0]]), np.array([[1.0, 0.5], [0.5, 1.0], [0.7, 0.7]])
    return torch.from_numpy(places[which] + widths[which] * RNG.normal(size=(count, 2)))


def test_likelihoods_against_scipy():
    mixture, points = some_mixture(), RNG.normal(size=(50, 4))
    expected = [
        np.log(share) + multivariate_normal(mean, np.diag(variance)).logpdf(points)
        for share, mean, variance in zip(*(values.numpy() for values in mixture.buffers()), strict=True)
    ]
    np.testing.assert_allclose(mixture.logs(torch.from_numpy(points)).numpy(), np.array(expected).T, rtol=1e-10)


def test_sums_by_hand():
    posteriors = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    points = torch.tensor([[2.0, 3.0], [4.0, 8.0]])
    assert sums_of(posteriors, points).tolist() == [[1.25, 3.0, 5.0, 8.0, 25.0], [0.75, 3.0, 6.0, 12.0, 48.0]]


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_likelihood_never_falls(count):
    mixture = Mixture(count, 2).double()
    likelihoods = mixture.fit(clumps(), rng(), 25)
    assert len(likelihoods) == 25
    assert (np.diff(likelihoods) > -1e-9).all()
    assert count == 1 or likelihoods[-1] > likelihoods[0]


def test_clumps_are_found():
    mixture = Mixture(3, 2).double()
    mixture.fit(clumps(20_000), torch.Generator().manual_seed(3), 60)
    order = mixture.shares.argsort(descending=True)
    np.testing.assert_allclose(mixture.shares[order], [0.5, 0.3, 0.2], atol=0.02)
    np.testing.assert_allclose(mixture.means[order], [[0, 0], [8, 0], [0, 8]], atol=0.05)
    np.testing.assert_allclose(mixture.variances[order].sqrt(), [[1, 0.5], [0.5, 1], [0.7, 0.7]], atol=0.05)


def test_one_gaussian_is_mean_and_variance():
    points = torch.from_numpy(RNG.normal(size=(100, 3)) * [1, 2, 3] + [5, 6, 7])
    mixture = Mixture(1, 3).double()
    mixture.fit(points, rng(), 1)
    torch.testing.assert_close(mixture.means[0], points.mean(0))
    torch.testing.assert_close(mixture.variances[0], points.var(0, correction=0))


def test_points_that_are_all_alike():
    mixture = Mixture(4, 2)
    mixture.fit(torch.ones(30, 2), rng(), 5)
    assert torch.isfinite(mixture.logs(torch.zeros(1, 2))).all()
    assert (mixture.variances > 0).all()


def test_gradients_against_autograd():
    """The gradient of the mean log-likelihood itself, times σ/√π for a mean and σ/√(2π) for a deviation."""
    mixture, points = some_mixture(), torch.from_numpy(RNG.normal(size=(2, 30, 4)))
    means, deviations = mixture.means.clone(), mixture.variances.sqrt()
    means.requires_grad_()
    deviations.requires_grad_()
    found = mixture.gradients(mixture.logs(points).softmax(2), points)
    for picture, gradients in zip(points, found, strict=True):
        density = torch.distributions.MixtureSameFamily(
            torch.distributions.Categorical(mixture.shares),
            torch.distributions.Independent(torch.distributions.Normal(means, deviations), 1),
        )
        to_means, to_deviations = torch.autograd.grad(density.log_prob(picture).mean(), [means, deviations])
        root, scale = mixture.shares.sqrt()[:, None], mixture.variances.sqrt()
        torch.testing.assert_close(gradients[:, :4], scale * to_means / root)
        torch.testing.assert_close(gradients[:, 4:], scale * to_deviations / (2**0.5 * root))
