"""What features learn from examples with weights is what they learn from so many copies of each."""

from dataclasses import dataclass

import pytest
import torch
from sklearn.preprocessing import StandardScaler

from deeprob.errors import UserError
from deeprob.features import (
    ChainConfig,
    ConcatConfig,
    FeaturesConfig,
    PcaConfig,
    PiecewiseLinearConfig,
    QuantileConfig,
    RawConfig,
    WhitenConfig,
    extraction,
)
from deeprob.features.base import Standardize
from deeprob.features.raw import Raw

CONFIGS = [
    RawConfig(),
    RawConfig(standardize="channel"),
    QuantileConfig(quantiles=1000),
    QuantileConfig(quantiles=5, distribution="uniform"),
    PiecewiseLinearConfig(bins=4),
    PcaConfig(components=2),
    WhitenConfig(),
    ChainConfig(parts=["whiten", "raw"]),
    ConcatConfig(parts=["raw", "quantile"]),
]
RNG = torch.Generator().manual_seed(0)
TABLE = torch.randn(20, 3, generator=RNG, dtype=torch.float64)
COPIES = torch.randint(1, 4, (20,), generator=RNG)


def learned(config: FeaturesConfig, inputs: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    features = config.make((3,)).to(dtype=torch.float64)
    extraction.fit(features, inputs, weights)
    return features(features.extract(TABLE))


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_weight_is_so_many_copies(config):
    found = learned(config, TABLE, COPIES.double())
    torch.testing.assert_close(found, learned(config, TABLE.repeat_interleave(COPIES, 0)), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found, learned(config, TABLE))


def test_pictures_have_one_mean_a_channel():
    pictures = torch.randint(0, 256, (5, 3, 2, 2), dtype=torch.uint8, generator=RNG)
    weights = torch.tensor([1.0, 3.0, 0.5, 2.0, 1.5])
    for per in ("channel", "feature"):
        scale = Standardize((3, 2, 2), per)
        scale.fit(pictures, 2, weights=weights)
        rows = pictures.double() if per == "feature" else pictures.double().mean((2, 3), keepdim=True)
        mean = (rows * weights.view(-1, 1, 1, 1)).sum(0) / 8
        torch.testing.assert_close(scale.mean, mean, rtol=1e-12, atol=0)
        squares = ((pictures.double() - mean).square() * weights.view(-1, 1, 1, 1)).sum(0) / 8
        squares = squares if per == "feature" else squares.mean((1, 2), keepdim=True)
        torch.testing.assert_close(scale.deviation, squares.sqrt(), rtol=1e-12, atol=0)


def test_fractions_agree_with_scikit_learn():
    weights = torch.rand(20, generator=RNG, dtype=torch.float64)
    theirs = StandardScaler().fit(TABLE.numpy(), sample_weight=weights.numpy())
    found = learned(RawConfig(), TABLE, weights)
    torch.testing.assert_close(found, torch.from_numpy(theirs.transform(TABLE.numpy())), rtol=1e-9, atol=1e-9)


@dataclass(kw_only=True, slots=True)
class OwnConfig(FeaturesConfig):
    def build(self, input_shape):
        return Own(input_shape, self.standardize)


class Own(Raw):
    def fit(self, inputs):
        return super().fit(inputs)


def test_features_of_ones_own_that_take_no_weights_say_so():
    torch.testing.assert_close(learned(OwnConfig(), TABLE), learned(RawConfig(), TABLE))
    with pytest.raises(UserError, match=r"^features=OwnConfig: fit\(inputs\) takes no weights of examples; write"):
        learned(OwnConfig(), TABLE, COPIES.double())
