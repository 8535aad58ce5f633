import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.features import ChainConfig, PiecewiseLinearConfig

RNG = np.random.default_rng(0)


def encoded(training: list[float], values: list[float], bins: int) -> list[list[float]]:
    config = PiecewiseLinearConfig(bins=bins, standardize="none")
    feature = config.build((1,))
    feature.fit(torch.tensor(training)[:, None])
    return feature.extract(torch.tensor(values)[:, None]).tolist()


def test_by_hand():
    """The edges are 0, 1 and 3."""
    found = encoded([3.0, 0.0, 1.0], [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 5.0], bins=2)
    assert found == [[-1, 0], [0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [1, 2]]


def test_edges_are_the_nearest_training_values():
    """The quantiles ⅓ and ⅔ lie at places 5/3 and 10/3 of the sorted values, so the edges are 0, 2, 3 and 5."""
    assert encoded([5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [1.0, 2.0, 4.0], bins=3) == [[0.5, 0, 0], [1, 0, 0], [1, 1, 0.5]]


def test_equal_edges_give_zeros():
    """The edges are 0, 0, 0, 2 and 4."""
    found = encoded([0.0, 0.0, 0.0, 2.0, 4.0], [-2.0, 0.0, 1.0, 4.0, 6.0], bins=4)
    assert found == [[0, 0, -1, 0], [0, 0, 0, 0], [0, 0, 0.5, 0], [0, 0, 1, 1], [0, 0, 1, 2]]


@pytest.mark.parametrize("ones", [1, 30, 50, 99])
def test_a_column_of_zeros_and_ones_remains_what_it_is(ones):
    column = [0.0] * (100 - ones) + [1.0] * ones
    found = torch.tensor(encoded(column, column, bins=8))
    assert found.sum(1).tolist() == column
    assert (found != 0).any(0).sum() == 1


def test_a_constant_column_gives_zeros():
    assert encoded([7.0, 7.0], [-3.0, 7.0, 9.0], bins=3) == [[0.0] * 3] * 3
    feature = PiecewiseLinearConfig(bins=3).build((1,))
    assert not feature(feature.fit(torch.full((4, 1), 7.0))).any()


def encode(value: float, edges: list[float]) -> list[float]:
    """Encode one number with the equation of Gorishniy et al., section 3.2."""
    places = []
    for t in range(1, len(edges)):
        if value < edges[t - 1] and t > 1:
            places.append(0.0)
        elif value >= edges[t] and t < len(edges) - 1:
            places.append(1.0)
        else:
            places.append((value - edges[t - 1]) / (edges[t] - edges[t - 1]))
    return places


def test_against_a_plain_loop():
    table = np.stack([RNG.normal(size=301), np.exp(3 * RNG.normal(size=301)) + 1e6, RNG.random(301)], 1)
    new = np.concatenate([table, table.mean(0) + 3 * table.std(0) * RNG.normal(size=(200, 3))])
    edges = np.sort(table, 0)[::30]  # 301 examples: every 30th value is a quantile
    expected = [np.concatenate([encode(value, list(edges[:, d])) for d, value in enumerate(row)]) for row in new]
    feature = PiecewiseLinearConfig(bins=10, standardize="none").build((3,)).double()
    feature.fit(torch.from_numpy(table))
    np.testing.assert_allclose(feature.extract(torch.from_numpy(new)).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_state_goes_through_a_checkpoint():
    values = torch.from_numpy(RNG.normal(size=(50, 4)))
    fitted = PiecewiseLinearConfig().build((4,))
    expected = fitted(fitted.fit(values))
    assert expected.shape == (50, 64)
    fresh = PiecewiseLinearConfig().build((4,))
    fresh.load_state_dict(fitted.state_dict())
    assert torch.equal(fresh(fresh.extract(values)), expected)


def test_after_another_feature():
    chain = ChainConfig(parts=["polar", {"name": "piecewise_linear", "bins": 5}], standardize="none").build((2,))
    assert chain.output_shape == (10,)
    radii = torch.linspace(0.5, 3, 11)
    found = chain.fit(torch.stack([radii, torch.zeros(11)], 1))
    torch.testing.assert_close(found[:, :5].sum(1), torch.linspace(0, 5, 11))


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8)])
def test_only_the_columns_of_a_table(shape):
    with pytest.raises(UserError, match="features=piecewise_linear needs the columns of a table, not inputs of shape"):
        PiecewiseLinearConfig().build(shape)


def test_a_linear_model_separates_the_inner_circle(deeprob):
    words = ("dataset=circles", "model=linear", "optimizer.lr=1e-1", "trainer.epochs=10", "hydra.run.dir=run")
    assert deeprob(*words, "features=piecewise_linear").status == 0
    run = load_run("run")
    assert run.metrics["test/accuracy"] >= 0.95
    assert run([[1e6, -1e6]]).isfinite().all()
