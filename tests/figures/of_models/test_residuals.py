import dataclasses

import numpy as np
import torch

from deeprob.data import Examples
from deeprob.features import RawConfig
from deeprob.figures.of_models.residuals import ResidualsConfig
from deeprob.figures.style import png


def test_residuals_are_true_minus_predicted(run_on):
    inputs = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    run = run_on(RawConfig(), inputs, ())
    predicted = run.scores("test").double()
    targets = predicted + torch.arange(30)[:, None] - 10
    run = dataclasses.replace(run, raw=dataclasses.replace(run.raw, test=Examples(inputs, targets)))
    figure = ResidualsConfig(bins=5).draw(run)
    png(figure)
    left, right = figure.axes
    offsets = left.collections[0].get_offsets()
    order = np.argsort(offsets[:, 1])
    np.testing.assert_allclose(offsets[order, 1], np.arange(30) - 10.0, atol=1e-6)
    np.testing.assert_allclose(offsets[order, 0], predicted[:, 0], atol=1e-6)
    # −10 to 19 in five bars of six numbers each
    assert [bar.get_width() for bar in right.patches] == [6] * 5
    assert left.get_title(loc="left").startswith("y₁: r² ")


def test_the_histogram_has_all_examples_and_the_points_some(run_on):
    run = run_on(RawConfig(), torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), ())
    config = ResidualsConfig(points=7)
    figure = config.draw(run)
    left, right = figure.axes[:2]
    assert len(left.collections[0].get_offsets()) == 7
    assert sum(bar.get_width() for bar in right.patches) == 30
    assert config.cut(run) == "7 of 30 examples (at random)"


def test_it_needs_numbers(points):
    assert ResidualsConfig().unsuited(points) == "needs numbers as targets, and the run predicts classes"
