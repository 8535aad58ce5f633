import numpy as np
import pytest
import torch

from deeprob.features import Standardize
from deeprob.features.raw import Raw

RNG = np.random.default_rng(0)
AXES = {"feature": (0,), "channel": (0, 2, 3)}


def fitted(values: torch.Tensor, per: str, chunk: int = 1024) -> Standardize:
    standardize = Standardize(tuple(values.shape[1:]), per)
    standardize.fit(values, chunk)
    return standardize


def tables(count: int = 50) -> torch.Tensor:
    scale, shift = np.array([1, 10, 0.01, 5]), np.array([0, -300, 2, 1e4])
    return torch.from_numpy(RNG.normal(size=(count, 4)) * scale + shift).float()


def photos(count: int = 50) -> torch.Tensor:
    return torch.from_numpy(RNG.integers(0, 256, (count, 3, 4, 5), dtype=np.uint8))


@pytest.mark.parametrize("per", ["feature", "channel"])
def test_pictures_agree_with_numpy(per):
    values = photos()
    numbers = values.numpy().astype(np.float64)
    mean, deviation = (f(numbers, axis=AXES[per], keepdims=True)[0] for f in (np.mean, np.std))
    standardize = fitted(values, per)
    np.testing.assert_allclose(standardize.mean.numpy(), mean, rtol=1e-6)
    np.testing.assert_allclose(standardize.deviation.numpy(), deviation, rtol=1e-6)
    expected = (numbers - mean) / deviation
    np.testing.assert_allclose(standardize(values).numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("per", ["feature", "channel"])
def test_columns_of_a_table_agree_with_numpy(per):
    values = tables()
    numbers = values.numpy().astype(np.float64)
    expected = (numbers - numbers.mean(0)) / numbers.std(0)
    np.testing.assert_allclose(fitted(values, per)(values).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_by_hand():
    standardize = fitted(torch.tensor([[1.0, 10.0], [3.0, 30.0]]), "feature")
    assert standardize.mean.tolist() == [2, 20]
    assert standardize.deviation.tolist() == [1, 10]  # √(((1 − 2)² + (3 − 2)²)/2) = 1
    assert standardize(torch.tensor([[4.0, 15.0]])).tolist() == [[2, -0.5]]


def test_channel_keeps_one_number_a_channel():
    standardize = fitted(photos(), "channel")
    assert standardize.mean.shape == standardize.deviation.shape == (3, 1, 1)


def test_none_only_makes_floats():
    values = photos()
    seen = fitted(values, "none")(values)
    assert seen.dtype == torch.float32
    np.testing.assert_array_equal(seen.numpy(), values.numpy())


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-12, 1 / 3])
def test_a_constant_entry_becomes_0(constant):
    values = torch.cat([torch.full((3000, 1), constant), torch.arange(3000.0)[:, None]], dim=1)
    standardize = fitted(values, "feature")
    assert standardize.deviation[0] == 1
    assert (standardize(values)[:, 0].abs() <= 1e-6 * abs(constant)).all()
    assert standardize.deviation[1] == pytest.approx(np.arange(3000).std())


def test_rounding_errors_of_a_large_constant_are_not_blown_up():
    above = np.nextafter(np.float32(1e4), np.float32(2e4))
    standardize = fitted(torch.tensor([[1e4], [above]]), "feature")
    assert standardize.deviation.item() == 1


def test_a_new_value_of_a_constant_entry_is_only_shifted():
    standardize = fitted(torch.full((10, 1), 5.0), "feature")
    assert standardize(torch.tensor([[7.0]])).item() == 2


@pytest.mark.parametrize("per", ["feature", "channel"])
@pytest.mark.parametrize("chunk", [1, 7, 49, 50, 51])
@pytest.mark.parametrize("values", [tables(), photos()], ids=["table", "pictures"])
def test_chunks_measure_what_the_whole_does(per, chunk, values):
    whole, parts = fitted(values, per, chunk=len(values)), fitted(values, per, chunk)
    torch.testing.assert_close(parts.mean, whole.mean, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(parts.deviation, whole.deviation, rtol=1e-5, atol=1e-5)


def test_the_spread_between_chunks_counts():
    # chunks (0, 0) and (2, 2) have no spread of their own; the whole has mean 1 and deviation 1
    standardize = fitted(torch.tensor([[0.0], [0.0], [2.0], [2.0]]), "feature", chunk=2)
    assert (standardize.mean.item(), standardize.deviation.item()) == (1, 1)


@pytest.mark.parametrize("per", ["feature", "channel", "none"])
def test_fitting_and_calling_leave_the_values_alone(per):
    values = tables()
    before = values.clone()
    fitted(values, per)(values)
    assert torch.equal(values, before)


@pytest.mark.parametrize("per", ["feature", "channel", "none"])
def test_the_state_holds_all_that_was_fitted(per):
    values = photos()
    first = fitted(values, per)
    other = Standardize((3, 4, 5), per)
    other.load_state_dict(first.state_dict())
    assert torch.equal(other(values), first(values))


def test_in_double_precision_the_result_is_double():
    standardize = fitted(tables(), "feature").to(torch.float64)
    assert standardize(tables()).dtype == torch.float64


def test_a_feature_fits_its_standardisation_on_what_it_extracts():
    feature = Raw((2,), "feature")
    extracted = feature.fit(torch.tensor([[1.0, 10.0], [3.0, 30.0]]))
    assert extracted.tolist() == [[1, 10], [3, 30]]
    assert feature(torch.tensor([[3.0, 10.0]])).tolist() == [[1, -1]]
    assert set(feature.state_dict()) == {"standardize.mean", "standardize.deviation"}
