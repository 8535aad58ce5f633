import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import WhitenConfig

RNG = np.random.default_rng(0)


def photos(count: int = 300) -> torch.Tensor:
    """Pictures whose neighbouring pixels are alike."""
    noise = RNG.integers(0, 120, (count, 3, 5, 7))
    return torch.from_numpy((noise[..., :-1] + noise[..., 1:]).astype(np.uint8))


def test_pictures_stay_pictures_without_correlations():
    whiten = WhitenConfig(epsilon=1e-6).build((3, 5, 6))
    whitened = whiten.fit(photos())
    assert whitened.shape == (300, 3, 5, 6)
    np.testing.assert_allclose(np.cov(whitened.flatten(1).numpy().T, bias=True), np.eye(90), atol=1e-3)


def test_only_training_inputs_count():
    pictures = photos()
    whiten = WhitenConfig().build((3, 5, 6))
    whiten.fit(pictures[:200])
    before = whiten.whitening.matrix.clone()
    torch.testing.assert_close(whiten.extract(pictures[:9]), whiten.extract(pictures)[:9])
    assert torch.equal(whiten.whitening.matrix, before)


def test_points_of_the_plane():
    points = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    whiten = WhitenConfig(epsilon=0.2, standardize="none").build((2,))
    whitened = whiten.fit(points)  # variances 4.5 and 0.5 of mean 2.5, so 5 and 1 with ε
    torch.testing.assert_close(whitened, points / torch.tensor([5**0.5, 1.0]))
    torch.testing.assert_close(whiten(whitened), whitened)


def test_state_goes_through_a_checkpoint():
    pictures = photos()
    fitted = WhitenConfig().build((3, 5, 6))
    expected = fitted.fit(pictures)
    fresh = WhitenConfig().build((3, 5, 6))
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.extract(pictures), expected)


def test_cholesky_leaves_no_correlations_either():
    whiten = WhitenConfig(epsilon=1e-6, method="cholesky").build((3, 5, 6))
    whitened = whiten.fit(photos())
    assert whitened.shape == (300, 3, 5, 6)
    np.testing.assert_allclose(np.cov(whitened.flatten(1).numpy().T, bias=True), np.eye(90), atol=1e-3)


def test_too_many_numbers_are_refused():
    with pytest.raises(UserError, match="features=whiten: inputs have 150528 numbers"):
        WhitenConfig().build((3, 224, 224))
    with pytest.raises(UserError, match="inputs have 9000 numbers, but it takes at most 8192; make the inputs smaller"):
        WhitenConfig().build((9000,))
    with pytest.raises(UserError, match="it takes at most 16384"):
        WhitenConfig(method="cholesky").build((16385,))
