import math

import pytest
import torch

from deeprob import randomness
from deeprob.analysis.landscape.directions import (
    difference,
    filter_normalised,
    inner,
    norm_of,
    random_direction,
    scaled,
    scaled_to,
)


def test_rows_take_the_norms_of_the_points_rows():
    point = {"weight": torch.tensor([[0.0, 10.0], [0.0, 0.0]]), "bias": torch.tensor([1.0, 2.0])}
    direction = {"weight": torch.tensor([[3.0, 4.0], [1.0, 1.0]]), "bias": torch.tensor([0.0, 0.0])}
    scaled_rows = filter_normalised(direction, point)
    torch.testing.assert_close(scaled_rows["weight"], torch.tensor([[6.0, 8.0], [0.0, 0.0]]))
    assert scaled_rows["bias"].tolist() == [0, 0]
    zeros = {"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}
    assert filter_normalised(zeros, point)["weight"].tolist() == [[0, 0], [0, 0]]


def test_random_directions_are_normal_in_matrices_and_nothing_elsewhere():
    stats = pytest.importorskip("scipy.stats")
    like = {"weight": torch.zeros(100, 50, dtype=torch.float64), "bias": torch.zeros(100), "norm": torch.ones(3)}
    stream = randomness.key(0, "test")
    direction = random_direction(like, stream, 0)
    assert stats.kstest(direction["weight"].flatten().numpy(), "norm").pvalue > 0.01
    assert direction["bias"].abs().sum() == direction["norm"].abs().sum() == 0
    assert torch.equal(random_direction(like, stream, 0)["weight"], direction["weight"])
    assert not torch.equal(random_direction(like, stream, 1)["weight"], direction["weight"])
    single = random_direction({"weight": torch.zeros(100, 50)}, stream, 0)["weight"]
    assert torch.equal(single, direction["weight"].float())


def test_norms_products_and_differences():
    one = {"a": torch.tensor([[3.0, 0.0]]), "b": torch.tensor([4.0])}
    other = {"a": torch.tensor([[1.0, 2.0]]), "b": torch.tensor([1.0])}
    assert norm_of(one) == 5
    assert inner(one, other) == 7
    assert {name: t.tolist() for name, t in difference(one, other).items()} == {"a": [[2, -2]], "b": [3]}
    assert {name: t.tolist() for name, t in scaled(one, 2).items()} == {"a": [[6, 0]], "b": [8]}
    assert norm_of(scaled_to(other, math.pi)) == pytest.approx(math.pi)
    assert norm_of(scaled_to({"a": torch.zeros(2, 2)}, 1.0)) == 0
