import numpy as np
import pytest
import torch

from deeprob.features import (
    ChainConfig,
    ConcatConfig,
    PcaConfig,
    PiecewiseLinearConfig,
    PolarConfig,
    RawConfig,
    WhitenConfig,
)
from deeprob.features.exact import centred, narrows
from deeprob.features.whitening import Whitening

RNG = np.random.default_rng(0)
FAR = 1e9
TABLE = torch.from_numpy(RNG.integers(-1000, 1000, (300, 2)) / 1024)  # exact after FAR is added too


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (torch.float32, torch.float64, True),
        (torch.float32, torch.int64, True),
        (torch.float32, torch.float32, False),
        (torch.float32, torch.uint8, False),
        (torch.float64, torch.float64, False),
        (torch.float64, torch.int64, False),
    ],
)
def test_which_types_have_more_digits(dtype, values, expected):
    assert narrows(dtype, torch.zeros(1, dtype=values)) == expected


def test_centred_by_hand():
    mean = torch.tensor([100_000.0], dtype=torch.float64)
    rows = torch.tensor([[100_000.02], [99_999.98]], dtype=torch.float64)
    assert centred(rows, mean, torch.float32).flatten().tolist() == pytest.approx([0.02, -0.02], rel=1e-6)
    assert centred(rows, mean, torch.float32).dtype == torch.float32
    assert centred(torch.tensor([[7]], dtype=torch.uint8), mean / 1e4, torch.float32).item() == -3
    near = torch.tensor([[2.0**25]])  # next to it in float32 lies 2²⁵ + 4
    assert centred(near, near[0].double() + 1, torch.float32).item() == -1


def test_centring_leaves_the_values_alone():
    rows = torch.ones(3, 2)
    centred(rows, torch.ones(2, dtype=torch.float64), torch.float32)
    assert rows.sum() == 6


def test_a_mean_stays_double_where_the_rest_becomes_single():
    whitening = Whitening(2)
    whitening.fit(TABLE + FAR, 0.1)
    mean = whitening.mean.clone()
    whitening.to(torch.float64).to(torch.float32)
    assert whitening.matrix.dtype == torch.float32
    assert torch.equal(whitening.mean, mean)


FEATURES = [
    RawConfig(),
    PcaConfig(components=2),
    PcaConfig(components=2, standardize="none"),
    WhitenConfig(),
    WhitenConfig(method="cholesky", standardize="none"),
    ConcatConfig(parts=["raw", {"name": "pca", "components": 1}]),
    ChainConfig(parts=["raw", "whiten"]),
    ChainConfig(parts=["whiten", "polar"]),
    PiecewiseLinearConfig(bins=7),
]


@pytest.mark.parametrize("config", FEATURES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_lies_far_from_zero_has_the_features_of_what_lies_near(config, dtype):
    seen = []
    for table in (TABLE, TABLE + FAR):
        feature = config.make((2,)).to(dtype=dtype)
        fitted = feature(feature.fit(table))
        assert fitted.dtype == dtype
        torch.testing.assert_close(feature(feature.extract(table)), fitted)
        seen.append(fitted)
    torch.testing.assert_close(seen[1], seen[0], rtol=1e-5, atol=1e-5)


def test_radius_and_angle_of_points_far_away():
    angles = torch.linspace(0, 1e-6, 50, dtype=torch.float64)
    points = (1e5 + torch.arange(50).double() / 1e4)[:, None] * torch.stack([angles.cos(), angles.sin()], 1)
    polar = PolarConfig().make((2,))
    seen = polar(polar.fit(points)).double()
    expected = (np.arange(50) - 24.5) / np.arange(50).std()
    np.testing.assert_allclose(seen.numpy(), np.stack([expected, expected], 1), rtol=1e-5, atol=1e-6)
