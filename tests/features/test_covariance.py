import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import covariance as covariance_module
from deeprob.features.covariance import axes, fit_covariance, moments

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_moments_against_numpy_across_chunks(dtype):
    values = torch.from_numpy(RNG.integers(0, 256, (9000, 5))).to(dtype)
    mean, covariance = moments(values)
    rows = values.numpy().astype(float)
    np.testing.assert_allclose(mean.numpy(), rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(covariance.numpy(), np.cov(rows.T, bias=True), rtol=1e-5, atol=0.05)
    assert mean.dtype == covariance.dtype == torch.float64


def test_moments_block_by_block(monkeypatch):
    rows = RNG.normal(size=(50, 7))
    expected = np.cov(rows.T, bias=True)
    monkeypatch.setattr(covariance_module, "_BLOCK", 3)
    covariance = moments(torch.from_numpy(rows), torch.float64)[1]
    np.testing.assert_allclose(covariance.numpy(), expected, rtol=1e-12)
    assert torch.equal(covariance, covariance.T)


def test_a_mean_far_from_zero_costs_no_digits():
    values = torch.tensor([[1e4, 0.0], [1e4 + 2, 2.0]])
    assert moments(values)[1].tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_axes_come_from_the_longest_on_and_point_one_way():
    variances, vectors = axes(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    torch.testing.assert_close(variances, torch.tensor([3.0, 1.0], dtype=torch.float64))
    assert torch.allclose(vectors[:, 0], torch.tensor([0.5**0.5, 0.5**0.5], dtype=torch.float64))
    tall = torch.from_numpy(np.cov(RNG.normal(size=(6, 50))))
    variances, vectors = axes(tall)
    torch.testing.assert_close(vectors @ torch.diag(variances) @ vectors.T, tall)
    assert (vectors.gather(0, vectors.abs().argmax(0, keepdim=True)) > 0).all()
    assert (variances.diff() <= 0).all()


def test_inputs_of_too_many_numbers():
    assert fit_covariance("pca", (3, 32, 32)) == 3072
    with pytest.raises(UserError, match="features=pca: inputs have 150528 numbers, but it takes at most 8192"):
        fit_covariance("pca", (3, 224, 224))
    assert fit_covariance("whiten", (9000,), 2**14) == 9000


def test_columns_of_any_size_have_their_moments():
    rng = torch.Generator().manual_seed(3)
    plain = torch.randn(500, 3, generator=rng, dtype=torch.float64)
    plain[:, 2] += plain[:, 0]
    sizes = torch.tensor([1e25, 1e-7, 1.0], dtype=torch.float64)
    mean, covariance = moments(plain * sizes)
    expected = torch.cov(plain.T, correction=0)
    torch.testing.assert_close(mean, plain.mean(0) * sizes)
    torch.testing.assert_close(covariance / sizes / sizes[:, None], expected, rtol=1e-5, atol=1e-6)


def test_axes_that_cannot_be_found_are_one_line():
    with pytest.raises(UserError, match="differ too much in size"):
        axes(torch.full((3, 3), torch.nan, dtype=torch.float64))
