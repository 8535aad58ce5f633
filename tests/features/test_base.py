import numpy as np
import pytest
import torch

from deeprob.features import Features, PcaConfig, Standardize
from deeprob.features.chain import Chain
from deeprob.features.raw import Raw
from deeprob.tracking.checkpoint_file import alike

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
    np.testing.assert_allclose(fitted(values, per)(values).numpy(), expected, rtol=1e-5, atol=1e-6)


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


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-12, 1 / 3, 1e300, 1e-310])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_entry_is_exactly_0(constant, dtype):
    values = torch.full((10_000, 1), min(constant, torch.finfo(dtype).max), dtype=dtype)
    standardize = fitted(values, "feature")
    assert standardize.deviation.item() == 1
    assert not standardize(values).any()


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-12, 1 / 3])
def test_a_constant_entry_becomes_0(constant):
    values = torch.cat([torch.full((3000, 1), constant), torch.arange(3000.0)[:, None]], dim=1)
    standardize = fitted(values, "feature")
    assert standardize.deviation[0] == 1
    assert (standardize(values)[:, 0].abs() <= 1e-6 * abs(constant)).all()
    assert standardize.deviation[1] == pytest.approx(np.arange(3000).std())


def test_rounding_errors_of_a_large_constant_are_not_blown_up():
    sums = torch.tensor([[0.1 + 0.2], [0.3]], dtype=torch.float64)  # one unit in the last place apart
    assert fitted(sums, "feature").deviation.item() == 1


def test_neighbours_in_float32_are_rounding_only_where_they_were_computed_in_it():
    neighbours = torch.tensor([[1e4], [np.nextafter(np.float32(1e4), np.float32(2e4))]])
    standardize = fitted(neighbours, "feature")
    assert standardize.deviation.item() == 2**-11  # half of the distance
    assert standardize(neighbours).tolist() == [[-1], [1]]
    standardize.fit(neighbours, computed=True)
    assert standardize.deviation.item() == 1
    standardize.fit(neighbours.double(), computed=True)
    assert standardize.deviation.item() == 2**-11


FAR = {
    "±0.02 around 1e5": 1e5 + 0.02 * RNG.choice([-1, 1], 5000),
    "±1e-3 around 1e9": 1e9 + 1e-3 * RNG.normal(size=5000),
    "nanoseconds": np.round(1.7e18 + 1e9 * RNG.normal(size=5000)),
    "negative": -1e5 + 0.02 * RNG.normal(size=5000),
    "denormal": 1e-310 * RNG.normal(size=5000),
    "tiny": 1e-200 * RNG.normal(size=5000),
    "huge": 1e300 * RNG.normal(size=5000),
    "one that differs": np.eye(1, 5000)[0],
}


@pytest.mark.parametrize("column", FAR.values(), ids=FAR)
@pytest.mark.parametrize("per", ["feature", "channel"])
def test_a_column_far_from_zero_keeps_its_digits(column, per):
    exact = column.astype(np.longdouble)
    centred = exact - exact.mean()
    largest = abs(centred).max()
    deviation = largest * np.sqrt(((centred / largest) ** 2).mean())
    values = torch.from_numpy(column)[:, None]
    standardize = fitted(values, per)
    assert standardize.deviation.item() == pytest.approx(float(deviation), rel=1e-9, abs=0)
    rounding = float(np.finfo(float).eps * abs(exact).max() / deviation)  # of the mean, in deviations
    seen = standardize(values)
    assert seen.dtype == torch.float32
    np.testing.assert_allclose(seen[:, 0].numpy(), (centred / deviation).astype(float), rtol=2e-7, atol=rounding + 1e-7)


@pytest.mark.parametrize("offset", [0.0, 1e5, -3e6])
def test_floats_are_centred_by_all_digits_of_the_mean(offset):
    values = (torch.from_numpy(RNG.normal(size=(300, 2))) * 0.5 + offset).float()
    numbers = values.numpy().astype(np.float64)
    expected = (numbers - numbers.mean(0)) / numbers.std(0)
    np.testing.assert_allclose(fitted(values, "feature")(values).numpy(), expected, rtol=1e-6, atol=1e-6)


def test_whole_numbers_of_64_bits_are_as_exact_as_floats():
    values = 1_700_000_000 + torch.arange(200)[:, None]
    expected = (np.arange(200) - 99.5) / np.arange(200).std()
    np.testing.assert_allclose(fitted(values, "feature")(values)[:, 0].numpy(), expected, rtol=1e-6)


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


def test_means_stay_double_whatever_the_batches_are():
    values = torch.tensor([[0.1], [0.7]], dtype=torch.float64)
    standardize = fitted(values, "feature").to(torch.float32).to(torch.float64).float()
    assert standardize.mean.item() == 0.4
    assert (standardize.mean.dtype, standardize.near.dtype) == (torch.float64, torch.float32)


def test_a_state_of_float32_is_taken():
    feature, pca = Raw((2,), "feature"), PcaConfig(components=1).build((2,))
    for part in (feature, Chain([feature, pca])):
        old = {name: value.float() for name, value in part.state_dict().items()}
        state = part.widened(old)
        assert alike(state, part.state_dict())
        part.load_state_dict(state)
    assert feature.widened({"standardize.mean": 3, "other": torch.ones(1)})["other"].dtype == torch.float32


class Computed(Features):
    def extract(self, inputs):
        return inputs + torch.tensor([[0.0], [2**-10]])


def test_what_a_feature_computed_is_constant_but_for_rounding():
    feature = Computed((1,), "feature")
    feature.fit(torch.full((2, 1), 1e4))
    assert feature.standardize.deviation.item() == 1


def test_restored_values_are_the_values_before():
    values = torch.tensor([[1e9 + 1.0, 5.0], [1e9 + 4.0, 5.0]], dtype=torch.float64)
    scale = Standardize((2,), "feature")
    scale.fit(values)
    assert scale(values).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    assert scale.restored(scale(values)).tolist() == values.tolist()
    assert scale.restored(torch.tensor([[0.5, 2.0]])).tolist() == [[1e9 + 3.25, 7.0]]
    unscaled = Standardize((2,), "none")
    assert unscaled.restored(values) is values
