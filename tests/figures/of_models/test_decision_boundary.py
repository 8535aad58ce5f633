import math
import struct

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from deeprob import load_run
from deeprob.data import Examples
from deeprob.figures import DecisionBoundaryConfig, caps
from deeprob.figures.of_models.decision_boundary import draw_regions, edges, evenly_spaced, points_shown, scatter
from deeprob.figures.style import palette_color, png, rgb


def halves(points):
    """Class 0 to the left of x₁ = 0.3, class 1 to the right, unsure at the line."""
    return torch.stack([torch.zeros(len(points)), 4 * (points[:, 0] - 0.3)], dim=1)


def axes():
    return Figure().subplots()


def test_regions_have_their_classes_colors_and_pale_where_the_model_is_unsure():
    ax = axes()
    draw_regions(ax, halves, (-1, 1, -1, 1), 21)
    (image,) = ax.images
    pixels = image.get_array()
    assert pixels.shape == (21, 21, 3)
    assert image.get_extent() == [-1, 1, -1, 1]
    for place, sign in ((0, -1.0), (20, 1.0)):
        number = int(sign > 0)
        sure = 1 / (1 + math.exp(-sign * 4 * (sign - 0.3)))
        strength = 0.10 + 0.42 * (2 * sure - 1)
        expected = [1 - strength * (1 - part) for part in rgb(number)]
        np.testing.assert_allclose(pixels[10, place], expected, atol=1e-6)
    assert pixels[10, 13].sum() > pixels[10, 20].sum() + 0.5  # at x₁ = 0.3 nearly white


def test_the_line_is_where_the_scores_tie():
    ax = axes()
    draw_regions(ax, halves, (-1, 1, -1, 1), 50)
    (lines,) = ax.collections
    points = np.concatenate([path.vertices for path in lines.get_paths()])
    np.testing.assert_allclose(points[:, 0], 0.3, atol=0.03)
    assert points[:, 1].min() < -0.9
    assert points[:, 1].max() > 0.9


def test_points_have_their_classes_colors():
    ax = axes()
    scatter(ax, Examples(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([2, 0])))
    drawn = {line.get_color(): line.get_xydata().tolist() for line in ax.lines}
    assert drawn == {palette_color(0): [[2, 3]], palette_color(2): [[0, 1]]}


def test_of_many_points_some_are_taken_at_even_distances():
    examples = Examples(torch.arange(20.0).view(10, 2), torch.arange(10))
    assert evenly_spaced(examples, 4)[1].tolist() == [0, 3, 6, 9]
    assert evenly_spaced(examples, 10)[1].tolist() == list(range(10))
    assert evenly_spaced(examples, 0)[1].tolist() == []


def test_a_run_is_drawn_the_same_twice(one_run):
    files = [png(DecisionBoundaryConfig().draw(load_run(one_run))) for _ in range(2)]
    assert files[0] == files[1]
    assert struct.unpack(">II", files[0][16:24])[0] == 630


def test_every_axis_is_labelled_and_the_title_is_the_measured_accuracy(one_run):
    run = load_run(one_run)
    (ax,) = DecisionBoundaryConfig(split="val").draw(run).axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x_1$", "$x_2$")
    assert ax.get_title(loc="left") == f"{100 * run.metrics['val/accuracy']:.1f} % right (val)"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["arm 0", "arm 1", "arm 2"]


def test_the_picture_says_how_many_of_the_points_it_shows(one_run):
    run = load_run(one_run)
    count = len(run.examples("train"))
    half = -(-count // 2)
    for points, text in ((half, f"{half} of {count} points"), (count, ""), (0, "")):
        (ax,) = DecisionBoundaryConfig(points=points, resolution=5).draw(run).axes
        assert ax.get_title(loc="right") == text
    assert points_shown(3001, 600) == "501 of 3,001 points"  # every sixth


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("dataset.distractors=1",), "needs points of the plane, and the run's inputs have the shape [3]"),
        (("dataset=random_regression", "loss=squared_error"), "needs classes, and the run predicts numbers"),
    ],
)
def test_what_it_does_not_suit(deeprob, small, words, reason):
    keep = [word for word in small if not word.startswith("dataset")] if "regression" in words[0] else small
    assert deeprob(*keep, *words, "hydra.run.dir=run").status == 0
    assert DecisionBoundaryConfig().unsuited(load_run("run")) == reason


def test_the_users_own_style_has_no_part_in_it(one_run):
    run = load_run(one_run)
    before = png(DecisionBoundaryConfig().draw(run))
    with mpl.rc_context({"font.size": 20, "axes.grid": False, "lines.linewidth": 5}):
        assert png(DecisionBoundaryConfig().draw(run)) == before


def test_edges_between_classes_by_hand():
    winner = torch.tensor([[0, 0, 1], [0, 0, 1], [2, 2, 2]])
    assert edges(winner).int().tolist() == [[0, 1, 0], [1, 1, 1], [0, 0, 0]]


def test_boundaries_of_many_classes_are_dark_points_of_the_grid(monkeypatch):
    monkeypatch.setattr(caps, "CLASSES", 1)
    monkeypatch.setattr(caps, "NUMBERS", 10)  # five points at once
    ax = Figure().subplots()
    draw_regions(ax, halves, (-1, 1, -1, 1), 6)
    dark = (ax.images[0].get_array() < 0.2).all(2)
    assert dark.any(0).sum() == 1 or dark.any(1).sum() == 1
    assert dark.sum() == 6
    assert not ax.collections
