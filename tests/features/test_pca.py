import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import PcaConfig

RNG = np.random.default_rng(0)


def test_points_on_a_line_keep_their_place_on_it():
    places = torch.tensor([-2.0, -1.0, 0.0, 3.0])
    points = torch.stack([3 * places, 4 * places], 1) / 5 + torch.tensor([7.0, 7.0])
    pca = PcaConfig(components=1).build((2,))
    torch.testing.assert_close(pca.fit(points)[:, 0], places, atol=1e-5, rtol=1e-5)


def test_against_numpys_singular_values():
    pictures = torch.from_numpy(RNG.integers(0, 256, (200, 3, 4, 5), dtype=np.uint8))
    pca = PcaConfig(components=6).build((3, 4, 5))
    projected = pca.fit(pictures).numpy()
    rows = pictures.flatten(1).numpy().astype(float)
    left, sizes, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    expected = (left * sizes)[:, :6]
    signs = np.sign((expected * projected).sum(0))
    np.testing.assert_allclose(projected, expected * signs, atol=1e-2, rtol=1e-3)
    np.testing.assert_allclose(pca(torch.from_numpy(projected)).std(0, correction=0).numpy(), 1, rtol=1e-4)


def test_state_goes_through_a_checkpoint():
    values = torch.from_numpy(RNG.normal(size=(50, 8))).float()
    fitted = PcaConfig(components=3).build((8,))
    expected = fitted.fit(values)
    fresh = PcaConfig(components=3).build((8,))
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh.extract(values), expected)


def test_no_more_components_than_numbers():
    assert PcaConfig(components=2).build((2,)).output_count == 2
    with pytest.raises(UserError, match="features=pca components=3: inputs have 2 numbers, so components is at most 2"):
        PcaConfig(components=3).build((2,))


def test_fewer_examples_than_components():
    values = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    pca = PcaConfig(components=3).build((3,))
    projected = pca.fit(values)
    torch.testing.assert_close(projected[:, 0].abs(), torch.full((2,), 2**0.5))
    assert torch.equal(pca(projected)[:, 1:], torch.zeros(2, 2))
    assert torch.equal(pca(pca.extract(torch.tensor([[9.0, -4.0, 2.0]])))[:, 1:], torch.zeros(1, 2))


def test_inputs_of_low_rank_leave_no_rounding_to_blow_up():
    places = torch.from_numpy(RNG.normal(size=(300, 5))).float()
    values = places @ torch.from_numpy(RNG.normal(size=(5, 600))).float() + 30
    pca = PcaConfig(components=40).build((600,))
    projected = pca(pca.fit(values))
    torch.testing.assert_close(projected[:, :5].std(0, correction=0), torch.ones(5), rtol=1e-4, atol=0)
    assert torch.equal(projected[:, 5:], torch.zeros(300, 35))
    elsewhere = torch.from_numpy(RNG.normal(size=(20, 600))).float()
    assert torch.equal(pca(pca.extract(elsewhere))[:, 5:], torch.zeros(20, 35))
