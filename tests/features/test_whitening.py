import numpy as np
import torch

from deeprob.features.whitening import Whitening

RNG = np.random.default_rng(0)


def test_by_hand():
    """Variances 4 and 1, uncorrelated; ε = 0.4 of the mean variance 2.5 adds 1 to both."""
    rows = torch.tensor([[2.0, 1.0], [2.0, -1.0], [-2.0, 1.0], [-2.0, -1.0]]) + torch.tensor([10.0, 20.0])
    whitening = Whitening(2)
    whitening.fit(rows, 0.4)
    assert torch.allclose(whitening.mean, torch.tensor([10.0, 20.0]))
    torch.testing.assert_close(whitening.matrix, torch.diag(torch.tensor([5**-0.5, 2**-0.5])))
    torch.testing.assert_close(whitening(rows)[0], torch.tensor([2 / 5**0.5, 1 / 2**0.5]))


def test_nothing_is_correlated_afterwards():
    rows = torch.from_numpy(RNG.normal(size=(2000, 4)) @ RNG.normal(size=(4, 4)) + 3).float()
    whitening = Whitening(4)
    whitening.fit(rows, 1e-9)
    np.testing.assert_allclose(np.cov(whitening(rows).numpy().T, bias=True), np.eye(4), atol=1e-4)
    torch.testing.assert_close(whitening.matrix, whitening.matrix.T)  # ZCA is symmetric


def test_values_that_do_not_vary_become_zero():
    whitening = Whitening(3)
    whitening.fit(torch.full((10, 3), 7.0), 1.0)
    assert whitening(torch.full((2, 3), 7.0)).abs().max() == 0
