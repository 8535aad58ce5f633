import numpy as np
import pytest
import torch

from deeprob.features.whitening import METHODS, Whitening

RNG = np.random.default_rng(0)


def test_by_hand():
    """Variances 4 and 1, uncorrelated; ε = 0.4 of the mean variance 2.5 adds 1 to both."""
    rows = torch.tensor([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]]) + torch.tensor([10.0, 20.0])
    whitening = Whitening(2)
    whitening.fit(rows, 0.4)
    assert whitening.mean.tolist() == [10, 20]
    torch.testing.assert_close(whitening.matrix, torch.diag(torch.tensor([5**-0.5, 2**-0.5])))
    torch.testing.assert_close(whitening(rows)[0], torch.tensor([2 / 5**0.5, 1 / 2**0.5]))


def test_nothing_is_correlated_afterwards():
    rows = torch.from_numpy(RNG.normal(size=(2000, 4)) @ RNG.normal(size=(4, 4)) + 3).float()
    whitening = Whitening(4)
    whitening.fit(rows, 1e-9)
    np.testing.assert_allclose(np.cov(whitening(rows).numpy().T, bias=True), np.eye(4), atol=1e-4)
    torch.testing.assert_close(whitening.matrix, whitening.matrix.T)  # ZCA is symmetric


def test_cholesky_by_hand():
    """Variances 2 and 5, covariance 1; ε = 2/7 of the mean variance 3½ adds 1 to both."""
    rows = torch.tensor([[2.0, 1.0], [-2.0, -1.0], [0.0, 3.0], [0.0, -3.0]])
    covariance = np.cov(rows.numpy().T, bias=True)
    assert covariance.tolist() == [[2, 1], [1, 5]]
    whitening = Whitening(2, "cholesky")
    whitening.fit(rows, 2 / 7)  # [[3, 1], [1, 6]] = L Lᵀ with L = [[√3, 0], [1/√3, √(17/3)]]
    first = 2 / 3**0.5
    torch.testing.assert_close(whitening(rows)[0], torch.tensor([first, (1 - first / 3**0.5) / (17 / 3) ** 0.5]))


def test_cholesky_is_a_rotation_of_zca():
    rows = torch.from_numpy(RNG.normal(size=(500, 6)) @ RNG.normal(size=(6, 6))).float()
    zca, cholesky = Whitening(6), Whitening(6, "cholesky")
    zca.fit(rows, 0.01)
    cholesky.fit(rows, 0.01)
    a, b = zca(rows), cholesky(rows)
    torch.testing.assert_close(a @ a.T, b @ b.T, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(cholesky.matrix, cholesky.matrix.tril())


@pytest.mark.parametrize("method", METHODS)
def test_values_that_do_not_vary_become_zero(method):
    whitening = Whitening(3, method)
    whitening.fit(torch.full((10, 3), 7.0), 1.0)
    assert whitening(torch.full((2, 3), 7.0)).abs().max() == 0


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("unit", [1e-7, 1.0, 1e7])
def test_what_comes_out_does_not_depend_on_the_unit(method, unit):
    rng = torch.Generator().manual_seed(3)
    rows = torch.randn(400, 2, generator=rng, dtype=torch.float64) @ torch.tensor([[1.0, 2.0], [0.0, 0.5]]).double()
    whitening = Whitening(2, method)
    whitening.fit(rows * unit, epsilon=0.0)
    cov = torch.cov(whitening(rows * unit).T.double(), correction=0)
    torch.testing.assert_close(cov, torch.eye(2).double(), rtol=1e-3, atol=1e-3)


def test_constant_rows_stay_finite():
    whitening = Whitening(2)
    whitening.fit(torch.ones(5, 2), epsilon=0.1)
    assert whitening(torch.ones(5, 2)).abs().max() == 0
