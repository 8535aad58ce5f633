import dataclasses
import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sklearn.metrics import r2_score, root_mean_squared_error

from deeprob.data import Examples
from deeprob.features import RawConfig
from deeprob.figures.of_models.predicted_against_true import (
    PredictedAgainstTrueConfig,
    fit_text,
    points_and_identity,
    rounded,
    some_examples,
)
from deeprob.figures.style import png


@pytest.fixture
def houses(run_on):
    """A run that predicts numbers far from 0, with names, of which one looks like a formula."""
    inputs = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    run = run_on(RawConfig(), inputs, ())
    targets = 1000 * inputs[:, :1] + 60_000
    splits = dataclasses.replace(run.raw, test=Examples(inputs, targets), target_columns=("price_$x$",))
    return dataclasses.replace(run, raw=splits)


def test_quality_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    true = rng.normal(size=200)
    predicted = true + 0.3 * rng.normal(size=200)
    expected = f"r² {r2_score(true, predicted):.3f}, rmse {root_mean_squared_error(true, predicted):.3g}"
    assert fit_text(torch.from_numpy(true), torch.from_numpy(predicted)) == expected


def test_quality_by_hand():
    # squares of errors 1 + 1, of the distances from the mean 2: 4 + 4
    assert fit_text(torch.tensor([0.0, 4.0]), torch.tensor([1.0, 5.0])) == "r² 0.750, rmse 1"
    assert fit_text(torch.tensor([3.0, 3.0]), torch.tensor([1.0, 5.0])) == "rmse 2"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.001234, "0.00123"), (999.0, "999"), (2234.0, "2,230"), (123456.0, "123,000"), (1e9, "1e+09")],
)
def test_numbers_are_short(value, text):
    assert rounded(value) == text


def test_points_and_the_line_of_right_predictions():
    axes = Figure().subplots()
    points_and_identity(axes, torch.tensor([1.0, 2.0]), torch.tensor([1.5, 0.0]))
    assert axes.collections[0].get_offsets().tolist() == [[1, 1.5], [2, 0]]
    (line,) = axes.lines
    assert np.array_equal(line.get_xdata(), line.get_ydata())
    assert axes.get_xlim() == axes.get_ylim() == tuple(line.get_xdata()) == pytest.approx((-0.08, 2.08))
    axes = Figure().subplots()
    points_and_identity(axes, torch.tensor([5.0]), torch.tensor([5.0]))
    assert axes.get_xlim() == pytest.approx((4.8, 5.2))


def test_units_are_those_of_the_dataset_and_names_are_no_formulas(houses):
    figure = PredictedAgainstTrueConfig().draw(houses)
    pixels = np.asarray(Image.open(io.BytesIO(png(figure))).convert("L"))
    assert all((edge == 255).all() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))
    (axes,) = figure.axes
    drawn = {tuple(point) for point in axes.collections[0].get_offsets().tolist()}
    true, predicted = houses.examples("test").targets[:, 0], houses.scores("test")[:, 0]
    assert drawn == {(x, y) for x, y in zip(true.double().tolist(), predicted.double().tolist(), strict=True)}
    title = next(text for text in figure.findobj(Text) if text.get_text().startswith("price_$x$: "))
    assert title.get_text() == f"price_$x$: {fit_text(true.double(), predicted.double())}"
    assert not title.get_parse_math()


def test_what_is_left_out_is_said(run_on):
    run = run_on(RawConfig(), torch.randn(40, 2), ())
    examples = Examples(run.raw.test.inputs, torch.randn(40, 6))
    predictor = dataclasses.replace(run.predictor, outputs=6)
    run = dataclasses.replace(run, raw=dataclasses.replace(run.raw, test=examples), predictor=predictor)
    assert PredictedAgainstTrueConfig(points=10).cut(run) == (
        "4 of 6 targets (the first); 10 of 40 examples (at random)"
    )
    assert PredictedAgainstTrueConfig(points=10).columns({"a": run}) == 1
    assert len(set(some_examples(40, 10).tolist())) == 10


def test_it_needs_numbers(points):
    assert PredictedAgainstTrueConfig().unsuited(points) == "needs numbers as targets, and the run predicts classes"
