import numpy as np
import pytest
import torch
from sklearn.preprocessing import QuantileTransformer

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.features import QuantileConfig
from deeprob.features.quantile import ColumnQuantiles

RNG = np.random.default_rng(0)
FAR = 1_700_000_000.0
TABLE = np.stack([RNG.normal(size=3000), np.exp(3 * RNG.normal(size=3000)), RNG.integers(0, 9, 3000) + FAR], 1)
NEW = np.stack([RNG.normal(size=500) * 2, np.exp(4 * RNG.normal(size=500)), RNG.integers(-2, 12, 500) + FAR], 1)


def shares(training: list[float], values: list[float], quantiles: int = 1000) -> list[float]:
    quantile = ColumnQuantiles(1, quantiles)
    quantile.fit(torch.tensor(training, dtype=torch.float64)[:, None])
    return quantile(torch.tensor(values, dtype=torch.float64)[:, None])[:, 0].tolist()


def test_shares_by_hand():
    found = shares([2.0, 5.0, 1.0, 2.0, 3.0], [-9.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 9.0])
    assert found == [0, 0, 0.125, 0.375, 0.625, 0.75, 0.875, 1, 1]


def test_between_two_quantiles_shares_are_linear():
    assert shares([0.0, 1.0, 10.0, 11.0, 20.0], [5.0, 10.0, 12.5, 20.0], quantiles=3) == [0.25, 0.5, 0.625, 1]


def test_examples_with_the_smallest_value_get_the_middle_of_their_range():
    assert shares([0.0, 0.0, 0.0, 1.0, 2.0], [-1.0, 0.0, 0.5, 2.0]) == [0, 0.25, 0.625, 1]


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("quantiles", [50, 1000, 3000, 9000])
def test_against_scikit_learn(distribution, quantiles):
    least = min(quantiles, len(TABLE))
    other = QuantileTransformer(n_quantiles=least, output_distribution=distribution, subsample=None).fit(TABLE)
    config = QuantileConfig(quantiles=quantiles, distribution=distribution, standardize="none")
    quantile = config.build((3,)).double()
    fitted = quantile.fit(torch.from_numpy(TABLE))
    for inputs, found in ((TABLE, fitted), (NEW, quantile.extract(torch.from_numpy(NEW)))):
        expected = other.transform(inputs)
        inside = np.ones_like(expected, dtype=bool)
        inside[:, 2] = (inputs[:, 2] != FAR) & (inputs[:, 2] != FAR + 8)  # many smallest and largest values
        np.testing.assert_allclose(found.numpy()[inside], expected[inside], rtol=0, atol=1e-9)


def test_columns_become_normal_and_go_through_a_checkpoint():
    table = torch.from_numpy(TABLE)
    fitted = QuantileConfig().build((3,)).to(dtype=torch.float32)
    expected = fitted(fitted.fit(table))
    assert expected.dtype == torch.float32
    assert len(expected[:, 2].unique()) == 9
    torch.testing.assert_close(expected.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(expected.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)
    assert (
        expected[:, 1].sort().values[[68, 500, 1500, 2500]] - torch.tensor([-2, -0.967, 0, 0.967])
    ).abs().max() < 0.02
    fresh = QuantileConfig().build((3,))
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh(fresh.extract(table)), expected)


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize("rows", [1, 4])
def test_a_constant_column_gives_zero(distribution, rows):
    quantile = QuantileConfig(distribution=distribution).build((1,))
    assert quantile(quantile.fit(torch.full((rows, 1), 7.0))).tolist() == [[0.0]] * rows
    assert quantile(quantile.extract(torch.tensor([[-3.0], [7.0], [9.0]]))).tolist() == [[0.0]] * 3


def test_values_outside_the_training_range_have_a_bound():
    quantile = QuantileConfig(standardize="none").build((1,))
    quantile.fit(torch.arange(5.0)[:, None])
    found = quantile.extract(torch.tensor([[-1e30], [0.0], [2.0], [4.0], [1e30]]))
    torch.testing.assert_close(found[:, 0], torch.tensor([-5.199338, -5.199338, 0, 5.199338, 5.199338]))


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8)])
def test_only_the_columns_of_a_table(shape):
    with pytest.raises(UserError, match="features=quantile needs the columns of a table, not inputs of shape"):
        QuantileConfig().build(shape)


def test_a_run_takes_new_inputs(deeprob):
    words = ("dataset=circles", "trainer.epochs=2", "hydra.run.dir=run")
    assert deeprob(*words, "features=concat", "features.parts=[quantile,raw]").status == 0
    run = load_run("run")
    assert torch.equal(run.features(run.data().test.inputs), run.features_of("test"))
    assert run([[1e6, -1e6]]).isfinite().all()
