import dataclasses

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LinearRegression

from deeprob.data import Examples
from deeprob.data.encoding import CategoryInput, Encoding, NumberInput
from deeprob.features import RawConfig
from deeprob.figures.of_models.importance import (
    ImportanceConfig,
    columns_of_inputs,
    error,
    importances,
)
from deeprob.figures.style import png

ENCODING = Encoding(
    (NumberInput("$size$", 0, 1), CategoryInput("color", ("red", "blue"), (1, 1)), NumberInput("age", 0, 1)), ("kind",)
)


@pytest.fixture
def table(run_on):
    """A linear classifier whose score depends on ``$size$`` and on the difference of the two colors, not on ``age``."""
    generator = torch.Generator().manual_seed(0)
    red = torch.randint(2, (200,), generator=generator)
    size, age = torch.randn(2, 200, generator=generator)
    inputs = torch.stack([size, red, 1 - red, age], 1)
    run = run_on(RawConfig(), inputs)
    weight = torch.tensor([[0.0, 0, 0, 0], [2.0, 0.5, -0.5, 0]])
    with torch.no_grad():
        run.model.linear_layers[0].weight.copy_(weight)
        run.model.linear_layers[0].bias.zero_()
    examples = Examples(inputs, run(inputs).argmax(1))
    return dataclasses.replace(
        run, raw=dataclasses.replace(run.raw, test=examples, columns=ENCODING.names, encoding=ENCODING)
    )


def test_inputs_of_one_column_are_grouped(table):
    assert columns_of_inputs(table) == {"$size$": [0], "color": [1, 2], "age": [3]}


def test_columns_without_names_are_numbered(points):
    assert columns_of_inputs(points) == {"x₁": [0], "x₂": [1]}


def test_what_a_model_does_not_use_has_no_importance(table):
    before, found = importances(table, "test", 10**6, 5, 0)
    assert before == -100
    assert list(found) == ["$size$", "color", "age"]
    assert found["age"].tolist() == [0] * 5
    assert found["$size$"].mean() > found["color"].mean() > 0
    again, other = (importances(table, "test", 10**6, 5, seed)[1] for seed in (0, 1))
    assert torch.equal(again["color"], found["color"])
    assert not torch.equal(other["color"], found["color"])


def test_inputs_of_one_column_are_shuffled_together(table, monkeypatch):
    from deeprob.figures.of_models import importance

    seen = []
    monkeypatch.setattr(importance, "error", lambda run, inputs, targets: seen.append(inputs) or 0.0)
    importances(table, "test", 10**6, 2, 0)
    inputs = seen[0]
    for place, columns in enumerate(([0], [1, 2], [3])):
        others = [column for column in range(4) if column not in columns]
        for shuffled in seen[1 + 2 * place : 3 + 2 * place]:
            assert torch.equal(shuffled[:, others], inputs[:, others])
            assert not torch.equal(shuffled[:, columns], inputs[:, columns])
            assert torch.equal(shuffled[:, columns].sort(0).values, inputs[:, columns].sort(0).values)
    colors = seen[3][:, 1] + seen[3][:, 2]
    assert torch.equal(colors, torch.ones(200))


def test_the_rise_of_rmse_agrees_with_scikit_learn(run_on):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(4000, 3))
    targets = inputs @ [3.0, 1.0, 0.0] + 0.5 * rng.normal(size=4000)
    model = LinearRegression().fit(inputs, targets)
    run = run_on(RawConfig(), torch.from_numpy(inputs), ())
    mean, deviation = inputs.mean(0), inputs.std(0)
    with torch.no_grad():
        run.model.linear_layers[0].weight.copy_(torch.from_numpy(model.coef_ * deviation)[None])
        run.model.linear_layers[0].bias.fill_(model.intercept_ + mean @ model.coef_)
    examples = Examples(torch.from_numpy(inputs), torch.from_numpy(targets)[:, None])
    run = dataclasses.replace(run, raw=dataclasses.replace(run.raw, test=examples))
    before, found = importances(run, "test", 10**6, 10, 0)
    expected = permutation_importance(
        model, inputs, targets, scoring="neg_root_mean_squared_error", n_repeats=10, random_state=0
    )
    assert before == pytest.approx(np.sqrt(np.mean((model.predict(inputs) - targets) ** 2)), rel=1e-5)
    means = [values.mean().item() for values in found.values()]
    np.testing.assert_allclose(means, expected.importances_mean, rtol=0.02, atol=0.003)


def test_accuracy_is_an_error_with_a_minus(table):
    examples = table.examples("test")
    wrong = examples.targets.clone()
    wrong[:50] = 1 - wrong[:50]
    assert error(table, examples.inputs, wrong) == -75


def test_bars_are_sorted_and_named(table):
    figure = ImportanceConfig(shuffles=4).draw(table)
    png(figure)
    (axes,) = figure.axes
    _, found = importances(table, "test", 10**6, 4, 0)
    texts = {text.get_text(): text.get_parse_math() for text in figure.findobj(Text)}
    assert [label.get_text() for label in axes.get_yticklabels()] == ["$size$", "color", "age"]
    assert not texts["$size$"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([values.mean().item() for values in found.values()])
    assert axes.get_title(loc="left") == "accuracy 100.0 % (test)"


def test_what_is_left_out_is_said(run_on):
    run = run_on(RawConfig(), torch.randn(20, 40))
    assert ImportanceConfig(examples=10).cut(run) == (
        "25 of 40 columns (the most important); 10 of 20 examples (at random)"
    )
    figure = ImportanceConfig(shuffles=1).draw(run)
    (axes,) = figure.findobj(Axes)
    assert len(axes.patches) == 25


def test_pictures_are_no_table(run_on, photos):
    expected = "needs a table, and the inputs of the run are pictures"
    assert ImportanceConfig().unsuited(run_on(RawConfig(), photos)) == expected
