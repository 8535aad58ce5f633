"""The steps before the model give what the features give."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from deeprob.data.encoding import CategoryInput, Encoding, NumberInput
from deeprob.data.frames import table_of
from deeprob.exports.tensor_steps import Encode, Grey, QuantileShares, Scale, Side, Units, normal_quantile
from deeprob.features import QuantileConfig, Standardize
from deeprob.features.steps import grayscale

ENCODING = Encoding(
    (
        NumberInput("length", 10.0, 2.0, fill=True, indicator=True),
        CategoryInput("color", ("blue", "red"), (5, 4), pooled=("gold", "grey"), missing=True),
        CategoryInput("shape", ("round", "square"), (5, 4)),
        CategoryInput("size", ("big", "small"), (5, 4), pooled=("huge", "tiny")),
        NumberInput("width", 1.0, 1.0),
    ),
    ("kind",),
)


def test_rows_of_places_are_encoded_as_the_rows_of_a_table():
    table = {
        "length": [3.0, np.nan, 5.0, 6.0],
        "color": ["red", "gold", None, "new"],
        "shape": ["round", "square", None, "new"],
        "size": ["big", "huge", None, "new"],
        "width": [1.0, 2.0, 3.0, 4.0],
    }
    nan = math.nan
    places = [[3, 1, 0, 0, 1], [nan, 2, 1, 2, 2], [5, nan, nan, nan, 3], [6, 7, -1, 0.5, 4]]
    encoded = Encode(ENCODING)(torch.tensor(places, dtype=torch.float64))
    assert torch.equal(encoded, ENCODING.encode(table_of(table)))
    assert encoded[1].tolist() == [10, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 2]  # by hand
    assert (Encode(ENCODING).inputs, Encode(ENCODING).outputs) == (5, 12)


def test_a_missing_number_that_is_not_filled_stays_missing():
    row = torch.tensor([[1, 0, 0, 0, math.nan]], dtype=torch.float64)
    assert Encode(ENCODING)(row)[0, -1].isnan()


def test_large_numbers_are_standardised_without_losing_digits():
    rows = 1.7e9 + torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)
    standardize = Standardize((1,), "feature")
    standardize.fit(rows)
    torch.testing.assert_close(Scale(standardize, (1,))(rows).flatten(), torch.tensor([-1.5, 0, 1.5]) / 1.5**0.5)
    assert torch.equal(Scale(standardize, (1,))(rows), standardize(rows))
    near = standardize.mean.float() + torch.tensor([[128.0]])
    assert torch.equal(Scale(standardize, (1,))(near), standardize(near))


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_shares_are_found_by_halving(distribution):
    quantile = QuantileConfig(quantiles=7, distribution=distribution).make((2,))
    rows = torch.tensor([[1, 4], [2, 4], [2, 4], [3, 4], [5, 4]], dtype=torch.float64)
    quantile.fit(rows)
    step = QuantileShares(quantile)
    values = torch.tensor([[1.5, 3], [2, 4], [0, 4], [9, 4], [4, 5], [5, 0], [1, 4]], dtype=torch.float64)
    torch.testing.assert_close(step(values), quantile.extract(values), rtol=1e-6, atol=1e-7)
    shares = [1 / 8, 3 / 8, 0, 1, 7 / 8, 1, 0]  # by hand
    if distribution == "uniform":
        assert step(values).tolist() == [[share, 0.5] for share in shares]


def test_the_normal_quantile_is_that_of_python():
    shares = torch.tensor([1e-7, 1e-3, 0.05, 0.075, 0.3, 0.5, 0.925, 0.95, 1 - 1e-7], dtype=torch.float64)
    expected = [NormalDist().inv_cdf(share) for share in shares.tolist()]
    torch.testing.assert_close(normal_quantile(shares), torch.tensor(expected, dtype=torch.float64), rtol=1e-13, atol=0)


def test_brightness_is_that_of_the_feature():
    pictures = torch.randint(0, 256, (50, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(Grey((3, 4, 5))(pictures.flatten(1)), grayscale(pictures).flatten(1).float())


def test_steps_side_by_side_keep_the_digits_of_each():
    one, other = Standardize((2,), "feature"), Standardize((2,), "feature")
    one.take(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]))
    side = Side([[Scale(one, (2,)), Scale(other, (2,))], []], 2)
    rows = torch.tensor([[3.0, 10.0]], dtype=torch.float64)
    assert side(rows).tolist() == [[1, 2, 3, 10]]
    assert (side(rows).dtype, side.outputs) == (torch.float64, 4)
    assert side(rows.to(torch.uint8)).dtype == torch.float32


def test_predicted_numbers_get_their_units_back():
    scale = Standardize((2,), "feature")
    scale.take(torch.tensor([1e6, 0.0]), torch.tensor([1e3, 2.0]))
    assert Units(scale)(torch.tensor([[0.5, -1.0]])).tolist() == [[1000500, -2]]
