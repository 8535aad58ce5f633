from pathlib import Path

import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.analysis.plane import margins
from deeprob.analysis.separability import separability
from deeprob.assembly.config import RunConfig
from deeprob.assembly.finished import Run
from deeprob.assembly.setup import Setup
from deeprob.data import CirclesConfig, MoonsConfig, XorConfig
from deeprob.errors import UserError
from deeprob.features import PolarConfig, RawConfig
from deeprob.figures.of_layers.feature_space import FeatureSpaceConfig, stage_grid
from deeprob.figures.of_layers.stages import stage_names, stages_of
from deeprob.figures.style import INK, palette_color, png
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, ConstantConfig


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def run_of(model, dataset=None, features=None) -> Run:
    """An untrained run on 100 points of XOR, in the coordinates in which they were drawn."""
    config = RunConfig(
        dataset=dataset or XorConfig(points_per_class=50, test_points_per_class=1),
        features=features or RawConfig(standardize="none"),
        model=model,
        loss=CrossEntropyConfig(),
        regularizer=NoneConfig(),
        optimizer=AdamWConfig(),
        scheduler=ConstantConfig(),
    )
    return Run(Path(), config, {}, Setup.build(config).predictor)


@pytest.fixture
def folding() -> Run:
    """h = max(0, x), and class 0 where h₁ + h₂ > ½: the boundary is a line there and has two bends here."""
    run = run_of(MLPConfig(layers=2, width=2))
    first, last = run.model.linear_layers
    with torch.no_grad():
        first.weight.copy_(torch.eye(2))
        first.bias.zero_()
        last.weight.copy_(torch.tensor([[1.0, 1.0], [-1.0, -1.0]]))
        last.bias.copy_(torch.tensor([-0.5, 0.5]))
    return run


def line_of(axes, ink):
    return next(line.get_xydata() for line in axes.lines if line.get_color() == ink)


def test_the_stages_of_a_network_made_by_hand(folding):
    before, linear, relu, scores = stages_of(folding, lines=3, resolution=50)
    assert [stage.name for stage in (before, linear, relu, scores)] == ["input", "linear 1", "relu 1", "scores"]
    train = folding.data().train
    assert sorted(before.points.tolist()) == sorted(train.inputs.double().tolist())
    assert torch.equal(linear.points, before.points)
    assert torch.equal(relu.points, before.points.clamp(min=0))
    total = relu.points.sum(1)
    torch.testing.assert_close(scores.points, torch.stack([total - 0.5, 0.5 - total], dim=1))
    same = (train.inputs[:, None] == before.points[None].float()).all(2).int().argmax(0)
    assert torch.equal(before.train.targets, train.targets[same])


def test_a_quadrant_collapses_onto_an_axis_and_another_onto_the_origin(folding):
    before, _, relu, _ = stages_of(folding, lines=3, resolution=50)
    x, h = before.points, relu.points
    upper_left, lower_left = (x[:, 0] < 0) & (x[:, 1] > 0), (x < 0).all(1)
    assert upper_left.sum() > 10
    assert lower_left.sum() > 10
    assert torch.equal(h[upper_left], torch.stack([torch.zeros_like(x[:, 0]), x[:, 1]], 1)[upper_left])
    assert h[lower_left].eq(0).all()


def test_the_grid_goes_where_the_points_go(folding):
    before, _, relu, _ = stages_of(folding, lines=3, resolution=50)
    assert before.grid.shape == (6, 400, 2)
    for line in before.grid[:3]:
        assert line[:, 0].unique().numel() == 1
    for line in before.grid[3:]:
        assert line[:, 1].unique().numel() == 1
    assert torch.equal(relu.grid, before.grid.float().clamp(min=0).double())
    assert relu.grid[0, :, 0].eq(0).all()  # the leftmost line, which is now a part of the axis


def test_the_boundary_is_bent_here_and_straight_there(folding):
    before, _, relu, scores = stages_of(folding, lines=3, resolution=50)
    (here,), (there,), (tie,) = before.boundary, relu.boundary, scores.boundary
    expected = here.clamp(min=0).sum(1)
    torch.testing.assert_close(expected, torch.full_like(expected, 0.5), atol=1e-4, rtol=0)
    assert here[:, 0].min() < -0.9  # x₂ = ½ in the upper left
    assert here[:, 1].min() < -0.9  # x₁ = ½ in the lower right
    torch.testing.assert_close(there.sum(1), torch.full_like(expected, 0.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(tie[:, 0], tie[:, 1], atol=2e-4, rtol=0)


def test_in_the_last_hidden_layer_the_networks_own_line_is_drawn(folding):
    figure = FeatureSpaceConfig(resolution=50).draw(folding)
    panels = [axes for axes in figure.axes if axes.axison]
    contours = [[c for c in axes.collections if type(c).__name__ == "QuadContourSet"] for axes in panels]
    assert [len(found) for found in contours] == [0, 0, 1, 0]
    (line,) = contours[2][0].get_paths()
    np.testing.assert_allclose(line.vertices.sum(1), 0.5, atol=1e-6)
    assert line.vertices.min() < -0.05  # where no point ever comes
    assert not any(line.get_color() == INK for line in panels[2].lines)
    bent = line_of(panels[0], INK)
    np.testing.assert_allclose(np.maximum(bent[:-1], 0).sum(1), 0.5, atol=1e-4)


def test_an_output_activation_leaves_the_image_of_the_boundary():
    run = run_of(MLPConfig(layers=2, width=2, output_activation="tanh"))
    figure = FeatureSpaceConfig(resolution=50).draw(run)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == ["input", "linear 1", "relu 1", "linear 2", "scores"]
    assert all(type(c).__name__ == "PathCollection" for axes in figure.axes for c in axes.collections)


def test_titles_say_how_separable_each_stage_is(folding):
    figure = FeatureSpaceConfig(resolution=50).draw(folding)
    panels = [axes for axes in figure.axes if axes.axison]
    said = [axes.texts[0].get_text() for axes in panels]
    stages = stages_of(folding, lines=2, resolution=10)
    measured = [100 * separability(stage.train, stage.train) for stage in stages]
    assert said == [f"linear probe {share:.1f} %" for share in measured]
    assert [axes.get_xlabel() for axes in panels] == ["$x_1$", "$h_{1}$", "$h_{1}$", "$f_{1}$"]
    assert [axes.get_ylabel() for axes in panels] == ["$x_2$", "$h_{2}$", "$h_{2}$", "$f_{2}$"]


def test_points_have_their_classes_colors_and_none_lies_below_all_others(folding):
    figure = FeatureSpaceConfig(resolution=20, points=40).draw(folding)
    (cloud,) = figure.axes[0].collections
    points = cloud.get_offsets()
    assert len(points) == 40
    same_sign = (points[:, 0] > 0) == (points[:, 1] > 0)
    expected = np.array([0 if same else 1 for same in same_sign])
    inks = [tuple(int(palette_color(k)[i : i + 2], 16) / 255 for i in (1, 3, 5)) for k in expected]
    np.testing.assert_allclose(cloud.get_facecolors()[:, :3], inks, atol=1e-6)
    assert np.abs(np.diff(expected)).sum() > 5  # classes take turns


def test_two_units_in_place_of_principal_components():
    run = run_of(MLPConfig(layers=2, width=5), MoonsConfig(points_per_class=40))
    _, linear, relu, scores = stages_of(run, lines=2, resolution=10, units=[4, 1])
    torch.testing.assert_close(relu.points, relu.train.inputs[:, [3, 0]])
    torch.testing.assert_close(linear.grid.clamp(min=0), relu.grid)
    assert relu.projection.labels == ("$h_{4}$", "$h_{1}$")
    assert scores.projection.labels == ("$f_{1}$", "$f_{2}$")


def test_units_that_a_layer_lacks():
    run = run_of(MLPConfig(hidden=[5, 3]), MoonsConfig(points_per_class=40))
    with pytest.raises(
        UserError, match=r"^figure\.units=\[1,4\]: expected units from 1 to 3, the width of .* linear 2$"
    ):
        FeatureSpaceConfig(units=[1, 4], resolution=10).draw(run)
    FeatureSpaceConfig(units=[1, 3], resolution=10).draw(run)


@pytest.mark.parametrize("units", [[1], [2, 2], [1, 2, 3], []])
def test_units_are_two(units):
    (problem,) = FeatureSpaceConfig(units=units).problems()
    assert problem == f"units={str(units).replace(' ', '')}: expected two different units, as in [1,2]"


def test_a_wrong_unit_on_the_command_line_is_one_line(one_run, deeprob):
    words = (f"run={one_run}", "figure=feature_space", "figure.resolution=10")
    status, _, err = deeprob(*words, "figure.units=[1,9]", command="visualize")
    assert (status, err.count("\n")) == (2, 1)
    assert "figure.units=[1,9]: expected units from 1 to 8, the width of the layer linear 1" in err
    status, _, err = deeprob(*words, "figure.units=[0,1]", command="visualize")
    assert status == 2
    assert "figure.units=[0,1]" in err


def test_a_layer_of_one_unit_is_a_line_with_a_row_for_each_class():
    run = run_of(MLPConfig(hidden=[1], activation="tanh"))
    _, linear, _, _ = stages_of(run, lines=2, resolution=40)
    values = linear.train.inputs[:, 0]
    torch.testing.assert_close(linear.points[:, 0], values)
    heights = {k: linear.points[linear.train.targets == k, 1].unique().tolist() for k in (0, 1)}
    row = (values.max() - values.min()).item() / 3
    assert heights == {0: [pytest.approx(row)], 1: [pytest.approx(2 * row)]}
    assert linear.grid[..., 1].eq(0).all()
    for piece in linear.boundary:  # upright: the scores are functions of the one unit
        torch.testing.assert_close(piece[:, 0], piece[:1, 0].expand(len(piece)), atol=1e-3, rtol=0)
        assert piece[[0, -1], 1].tolist() == pytest.approx([-row, 3 * row])
    panel = FeatureSpaceConfig(resolution=40).draw(run).axes[1]
    assert (panel.get_ylabel(), list(panel.get_yticks())) == ("a row for each class", [])


def test_features_are_a_stage_and_the_grid_is_torn_where_the_angle_jumps():
    run = run_of(LinearConfig(), CirclesConfig(points_per_class=40), PolarConfig())
    assert stage_names(run) == ["input", "polar", "scores"]
    before, polar, scores = stages_of(run, lines=4, resolution=40)
    torch.testing.assert_close(polar.train.inputs, run.features(before.points).double())
    assert polar.projection.labels == ("feature 1", "feature 2")
    steps = polar.grid.diff(dim=1).abs()
    assert steps[~steps.isnan()].max() < 0.5
    for stage in (before, polar, scores):
        assert torch.equal(stage.grid.isnan(), polar.grid.isnan())
    gaps = polar.grid.isnan()[..., 0]
    assert gaps[:4].sum() == 2  # the two upright lines left of the origin cross the angle π
    assert not gaps[4:].any()


def test_the_boundary_of_a_linear_model_has_only_an_input_and_scores():
    run = run_of(LinearConfig())
    figure = FeatureSpaceConfig(resolution=50).draw(run)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == ["input", "scores"]
    points = torch.from_numpy(line_of(figure.axes[0], INK)[:-1]).float()
    assert margins(run(points)).abs().max() < 1e-3


def test_of_many_stages_the_last_are_shown_and_the_others_named():
    run = run_of(MLPConfig(layers=4, width=3, activation="leaky_relu"), MoonsConfig(points_per_class=40))
    figure = FeatureSpaceConfig(resolution=20, stages=3).draw(run)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.axison]
    assert titles == ["input", "linear 3", "leaky relu 3", "scores"]
    (legend,) = figure.legends
    assert legend.get_title().get_text() == "left out after the input: linear 1 to leaky relu 2"
    whole = FeatureSpaceConfig(resolution=20).draw(run)
    assert [axes.axison for axes in whole.axes] == [True] * 8
    assert whole.legends[0].get_title().get_text() == ""


@pytest.mark.parametrize(
    ("panels", "shape"),
    [(1, (1, 1)), (2, (1, 2)), (4, (1, 4)), (5, (2, 3)), (6, (2, 3)), (7, (2, 4)), (8, (2, 4)), (9, (3, 3))],
)
def test_panels_fill_rows(panels, shape):
    assert stage_grid(panels) == shape


def test_a_network_with_batch_norm_keeps_its_running_means():
    run = run_of(MLPConfig(layers=2, width=3, norm="batch"))
    run.model.train()
    before = {name: buffer.clone() for name, buffer in run.model.named_buffers()}
    stages_of(run, lines=2, resolution=10)
    assert run.model.training
    assert all(torch.equal(before[name], buffer) for name, buffer in run.model.named_buffers())


def test_the_same_run_gives_the_same_bytes(one_run):
    pictures = {png(FeatureSpaceConfig(resolution=40).draw(load_run(one_run)), dpi=50) for _ in range(2)}
    assert len(pictures) == 1


def test_several_runs_are_rows(folding):
    linear = run_of(MLPConfig(layers=2, width=2, activation="identity"))
    figure = FeatureSpaceConfig(resolution=20).compare({"relu": folding, "identity": linear})
    upper, lower = figure.subfigs
    assert [upper.get_suptitle(), lower.get_suptitle()] == ["relu", "identity"]
    assert upper.bbox.y0 >= lower.bbox.y1


def test_what_it_is_not_for(folding, deeprob, pictures):
    assert FeatureSpaceConfig().unsuited(folding) == ""
    assert deeprob("dataset=random_regression", "loss=squared_error", "trainer.epochs=1", "hydra.run.dir=a").status == 0
    assert FeatureSpaceConfig().unsuited(load_run("a")) == "needs classes, and the run predicts numbers"
    words = ("dataset=image_folder", f"dataset.root={pictures}", "trainer.epochs=1", "hydra.run.dir=b")
    assert deeprob(*words).status == 0
    assert "points of the plane" in FeatureSpaceConfig().unsuited(load_run("b"))
