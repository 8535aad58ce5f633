import math

import pytest
import torch

from deeprob.errors import UserError
from deeprob.features import PolarConfig


def test_by_hand():
    points = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [1.0, -1.0], [0.0, 0.0]])
    polar = PolarConfig(standardize="none").build((2,))
    expected = [[1, 0], [2, math.pi / 2], [3, math.pi], [math.sqrt(2), -math.pi / 4], [0, 0]]
    torch.testing.assert_close(polar.extract(points), torch.tensor(expected))


@pytest.mark.parametrize("shape", [(3,), (3, 8, 8)])
def test_only_points_of_the_plane(shape):
    with pytest.raises(UserError, match="features=polar needs points of the plane"):
        PolarConfig().build(shape)


def test_polar_coordinates_make_circles_linearly_separable(deeprob):
    words = ("dataset=circles", "model=linear", "optimizer.lr=1e-1", "trainer.epochs=20")
    accuracies = {}
    for features in ("raw", "polar"):
        assert deeprob(*words, f"features={features}", f"hydra.run.dir={features}").status == 0
        from deeprob import load_run

        accuracies[features] = load_run(features).metrics["test/accuracy"]
    assert accuracies["polar"] >= 0.99
    assert accuracies["raw"] <= 0.6
