import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.errors import UserError
from deeprob.figures.of_layers.feature_space import FeatureSpaceConfig
from deeprob.figures.of_models.decision_boundary import DecisionBoundaryConfig
from deeprob.figures.of_models.templates import TemplatesConfig, feeds
from deeprob.figures.style import FAINT, palette_color, png


@pytest.fixture
def trained(deeprob, small, pictures):
    """Train for an epoch on points of the plane, or on 8×8 pictures of cats and dogs, and load the run."""

    def train(*words, on_pictures=False):
        shown = ("dataset=image_folder", f"dataset.root={pictures}", "trainer.batch_size=8", "model.width=8")
        setting = [
            word for word in (shown if on_pictures else small) if "model=linear" not in words or "width" not in word
        ]
        result = deeprob(*setting, *words, "trainer.epochs=1", "trainer.figures=[]", "hydra.run.dir=run")
        assert result.status == 0, result.err
        return load_run("run")

    return train


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_a_linear_model_of_pictures_shows_its_weights_over_the_deviation(trained):
    run = trained("model=linear", on_pictures=True)
    assert run.predictor.features.standardize.deviation.shape == (3, 8, 8)
    with torch.no_grad():  # so that w/d is 1 in the upper half, -1 in the lower one
        half = torch.ones(3, 8, 8)
        half[:, 4:] = -1
        run.model.layer.weight[0] = (half * run.predictor.features.standardize.deviation).flatten()
    (axes,) = TemplatesConfig().draw(run).axes
    assert texts(axes) == ["cats", "dogs"]
    image = np.asarray(axes.images[0].get_array())
    left = image[-8:, :8]
    np.testing.assert_allclose(left[:4], 1.0, atol=1e-6)
    np.testing.assert_allclose(left[4:], 0.0, atol=1e-6)
    assert texts(TemplatesConfig(cls="dogs").draw(run).axes[0]) == ["dogs"]


def test_a_network_of_pictures_shows_what_feeds_each_class(trained):
    run = trained("model.layers=2", on_pictures=True)
    (axes,) = TemplatesConfig(units=3).draw(run).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cats", "dogs"]
    fed = run.model.layers[1].weight.detach()
    (axes,) = TemplatesConfig(units=3, cls="dogs").draw(run).axes
    shown = [float(text.replace("−", "-")) for text in texts(axes)[1:]]
    np.testing.assert_allclose(shown, fed[1].sort(descending=True).values[:3], rtol=0.06)


def test_pictures_draw_the_same_twice_and_within_a_pages_width(trained):
    run = trained("model.layers=3", on_pictures=True)
    config = TemplatesConfig()
    assert png(config.draw(run)) == png(config.draw(load_run("run")))
    assert config.size(run)[0] <= 8.3
    assert config.compare({"a": run, "b": run}).get_size_inches()[0] <= 8.3


def test_on_the_plane_a_linear_models_scores_are_0_on_their_classes_lines(trained):
    run = trained("model=linear")
    (axes,) = TemplatesConfig(points=10).draw(run).axes
    lines = [line for line in axes.lines if line.get_linestyle() == "-" and line.get_marker() == "None"]
    assert [line.get_color() for line in lines] == [palette_color(0), palette_color(1), palette_color(2)]
    for place, line in enumerate(lines):
        scores = run(torch.tensor(line.get_xydata(), dtype=torch.float32))
        torch.testing.assert_close(scores[:, place], torch.zeros(2), atol=1e-5, rtol=0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$x_1$", "$x_2$")
    chosen = [line for line in TemplatesConfig(cls="arm 1", points=0).draw(run).axes[0].lines if len(line.get_xdata())]
    np.testing.assert_allclose(chosen[0].get_xydata(), lines[1].get_xydata())
    assert len(chosen) == 1


def test_on_the_plane_units_are_0_on_their_lines_and_the_strongest_bends_the_scores_most(trained):
    run = trained("model.layers=2")
    (axes,) = TemplatesConfig(points=0, units=4).draw(run).axes
    lines = [line for line in axes.lines if len(line.get_xdata())]
    assert len(lines) == 4
    layer, last = run.model.layers
    deviation = run.predictor.features.standardize.deviation
    bends = (last.weight.norm(dim=0) * (layer.weight / deviation).norm(dim=1)).detach()
    strongest_last = bends.argsort()[-4:]
    for unit, line in zip(strongest_last, lines, strict=True):
        _, sums = next(iter(run.model.stages(run.features(torch.tensor(line.get_xydata(), dtype=torch.float32)))))
        torch.testing.assert_close(sums[:, unit].detach(), torch.zeros(2), atol=1e-4, rtol=0)
    assert lines[-1].get_alpha() == pytest.approx(1.0)
    ratio = (bends[strongest_last[0]] / bends.max()).item()
    assert lines[0].get_alpha() == pytest.approx(0.1 + 0.9 * ratio, rel=1e-3)


def test_a_table_is_its_rows_with_the_columns_numbers(trained):
    run = trained("model=linear", "dataset.distractors=3")
    axes, bar = TemplatesConfig().draw(run).axes
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), run.model.layer.weight.detach(), rtol=1e-6)
    assert list(image.get_extent()) == [0.5, 5.5, 2.5, -0.5]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["arm 0", "arm 1", "arm 2"]
    assert (axes.get_xlabel(), bar.get_ylabel()) == ("column of the inputs", "weight")
    assert image.norm.vmax == -image.norm.vmin == pytest.approx(run.model.layer.weight.abs().max().item())


def test_a_table_of_units_is_in_the_order_of_what_they_feed(trained):
    run = trained("model.layers=2", "dataset.distractors=3")
    axes, _ = TemplatesConfig(cls="arm 2", units=2).draw(run).axes
    order = run.model.layers[1].weight[2].argsort(descending=True)[:2]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"unit {unit + 1}" for unit in order]
    np.testing.assert_allclose(axes.images[0].get_array(), run.model.layers[0].weight[order].detach(), rtol=1e-6)


def test_many_rows_have_an_axis_in_place_of_names(trained):
    run = trained("model.layers=2", "model.width=40", "dataset.distractors=1")
    axes, _ = TemplatesConfig(units=40).draw(run).axes
    assert axes.get_ylabel() == "unit, by how much it feeds a score"


@pytest.fixture
def table_run(deeprob):
    """Train a linear model for an epoch on a table with such a first line, and rows of numbers."""

    def train(header, *words):
        columns = header.count(",") + 1
        rows = [",".join(str((7 * row + 3 * column**2) % 10) for column in range(columns - 1)) for row in range(20)]
        lines = [header, *(f"{row},{number % 2}" for number, row in enumerate(rows))]
        Path("table.csv").write_text("\n".join(filter(None, lines)))
        words = ("dataset=csv", "dataset.root=table.csv", "model=linear", "trainer.epochs=1", *words)
        result = deeprob(*words, "trainer.figures=[]", "hydra.run.dir=run")
        assert result.status == 0, result.err
        return load_run("run")

    return train


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_columns_are_called_as_in_the_header(table_run):
    axes, _ = TemplatesConfig().draw(table_run("length,width,$a$ b,kind")).axes
    assert ticks(axes.xaxis) == ["length", "width", "$a$ b"]
    assert texts(axes)[0] == f"{axes.images[0].get_array()[0, 0]:.2g}".replace("-", "−")
    assert axes.get_title(loc="left") == "what each score looks for"


def test_of_many_columns_those_of_the_largest_weights_are_shown(table_run):
    run = table_run(",".join(f"column {number}" for number in range(40)) + ",kind")
    with torch.no_grad():
        run.model.layer.weight[:] = torch.arange(40) * torch.tensor([[0.0], [-1.0]])
    figure = TemplatesConfig().draw(run)
    assert ticks(figure.axes[0].xaxis) == [f"column {number}" for number in range(8, 40)]
    assert figure.axes[0].images[0].get_array()[1].tolist() == [-number for number in range(8, 40)]
    assert TemplatesConfig().cut(run) == "32 of 40 columns (those of the largest weights)"


def test_a_regression_on_one_column_names_both(table_run):
    words = ("dataset.task=regression", "loss=squared_error")
    axes, _ = TemplatesConfig().draw(table_run("width,length", *words)).axes
    assert (ticks(axes.xaxis), ticks(axes.yaxis), len(texts(axes))) == (["width"], ["length"], 1)


def test_no_names_are_invented(deeprob):
    words = (
        "dataset=random_regression",
        "dataset.inputs=1",
        "dataset.outputs=1",
        "loss=squared_error",
        "model=linear",
        "trainer.epochs=1",
    )
    assert deeprob(*words, "trainer.figures=[]", "hydra.run.dir=run").status == 0
    axes, _ = TemplatesConfig().draw(load_run("run")).axes
    assert (axes.get_xlabel(), ticks(axes.yaxis)) == ("column of the inputs", ["output 1"])
    assert [place for place in axes.get_xticks() if 0.5 <= place <= 1.5] == [1]


def test_on_the_plane_axes_are_columns(table_run):
    run = table_run("length,width $0,kind")
    for figure in (TemplatesConfig(points=10), DecisionBoundaryConfig(resolution=9), FeatureSpaceConfig(resolution=9)):
        drawn = figure.draw(run)
        png(drawn)
        assert (drawn.axes[0].get_xlabel(), drawn.axes[0].get_ylabel()) == ("length", r"width \$0"), figure
    assert [text.get_text() for text in drawn.legends[0].get_texts()][1:3] == ["constant length", "constant width $0"]


def test_numbers_to_predict_have_faint_points_and_names_of_their_own(deeprob):
    words = "dataset.inputs=2", "dataset.outputs=3", "dataset.examples=30"
    words += "trainer.epochs=1", "trainer.figures=[]"
    assert (
        deeprob("dataset=random_regression", *words, "loss=squared_error", "model=linear", "hydra.run.dir=run").status
        == 0
    )
    run = load_run("run")
    (axes,) = TemplatesConfig().draw(run).axes
    assert axes.lines[0].get_color() == FAINT
    assert len([line for line in axes.lines if line.get_marker() == "None"]) == 3
    with pytest.raises(UserError, match=r"^figure.cls=output4: the run has no such class; did you mean output"):
        TemplatesConfig(cls="output4").draw(run)


def test_a_class_that_is_not_there(trained):
    run = trained("model=linear")
    with pytest.raises(UserError, match=r"^figure.cls=arm1: the run has no such class; did you mean arm 1\?$"):
        TemplatesConfig(cls="arm1").draw(run)


def test_what_it_does_not_suit(trained):
    run = trained("features=polar")
    assert TemplatesConfig().unsuited(run) == (
        "needs units that are lines in the plane, and the run's features bend them; try features=raw"
    )


def test_layer_norm_ties_units_together_on_the_plane(trained):
    assert "layer norm ties them" in TemplatesConfig().unsuited(trained("model.norm=layer"))


@pytest.mark.parametrize("words", [(), ("model.norm=batch",), ("model.activation=maxout", "model.layers=2")])
def test_it_suits_other_networks(trained, words):
    run = trained(*words)
    assert not TemplatesConfig().unsuited(run)
    assert png(TemplatesConfig().draw(run))


def test_deeper_networks_are_ordered_by_training_examples(trained):
    run = trained("model.layers=3")
    first, second, last = run.model.layers
    with torch.no_grad():
        hidden = first(run.features(run.examples("train").inputs)).relu().double()
        moved = hidden + 1e-6 * torch.eye(8, dtype=torch.float64)[5]
        second, last = second.double(), last.double()
        slope = (last(second(moved).relu()) - last(second(hidden).relu())).mean(0) / 1e-6
    run.model.float()
    fed = feeds(run, range(3))
    assert fed.shape == (3, 8)
    torch.testing.assert_close(fed[:, 5], slope, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("words", [("dataset.distractors=1",), ()])
def test_a_network_of_zeros_is_drawn_all_the_same(trained, words):
    run = trained("model.layers=2", *words)
    with torch.no_grad():
        for parameter in run.model.parameters():
            parameter.zero_()
    assert png(TemplatesConfig().draw(run))


def test_what_the_config_says():
    assert not TemplatesConfig.usual
    assert TemplatesConfig.live
    assert {field.name for field in dataclasses.fields(TemplatesConfig)} == {"cls", "units", "points"}


def test_a_plane_says_how_many_of_the_units_it_shows(one_run):
    assert TemplatesConfig(units=3).cut(load_run(one_run)) == "3 of 8 units (those that feed a class most)"


def test_a_table_says_how_many_of_the_units_it_shows(table_run):
    run = table_run("width,length,height,kind", "model=mlp", "model.hidden=[40]")
    assert TemplatesConfig().cut(run) == "32 of 40 units (those that feed a class most)"
