import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from deeprob.features import HogConfig, RawConfig
from deeprob.features.steps import equalize
from deeprob.figures.of_features.equalize import EqualizeConfig, levels_of, whole_levels
from deeprob.figures.style import png


@pytest.fixture
def dim() -> torch.Tensor:
    """Four dim pictures (4, 3, 20, 30), levels below 100."""
    return torch.randint(100, (4, 3, 20, 30), generator=torch.Generator().manual_seed(2)).to(torch.uint8)


def test_bars_are_shares_of_all_channels_and_lines_of_each():
    picture = torch.zeros(3, 2, 2, dtype=torch.uint8)
    picture[0, 0], picture[1], picture[2, 0, 0] = 128, 255, 3
    axes = Figure().subplots()
    levels_of(axes, picture)
    heights = [bar.get_height() for bar in axes.patches]
    assert len(heights) == 64
    # of 12 numbers 6 are from 0 to 3, 2 are 128, 4 are 255; of even levels each bar has 1/64 and a height of 25
    assert [(k, h) for k, h in enumerate(heights) if h] == [
        (0, pytest.approx(25 * 64 * 6 / 12)),
        (32, pytest.approx(25 * 64 * 2 / 12)),
        (63, pytest.approx(25 * 64 * 4 / 12)),
    ]
    red, green, blue, even = (line.get_ydata() for line in axes.lines)
    assert [red[0], red[127], red[128], red[255]] == [50, 50, 100, 100]
    assert [green[254], green[255]] == [0, 100]
    assert [blue[0], blue[2], blue[3]] == [75, 75, 100]
    assert list(even) == [0, 100]
    assert axes.get_ylim()[0] == 0


def test_levels_are_shown_before_and_after(run_on, dim):
    run = run_on(HogConfig(), dim)
    config = EqualizeConfig(examples=2)
    figure = config.draw(run)
    examples, _ = config.chosen(run)
    rows = [figure.axes[start : start + 4] for start in (0, 4)]
    for (before, before_levels, after, after_levels), picture in zip(rows, examples.inputs, strict=True):
        np.testing.assert_allclose(before.images[0].get_array() * 255, picture.permute(1, 2, 0), atol=1e-3)
        even = equalize(picture[None])[0].permute(1, 2, 0)
        np.testing.assert_allclose(after.images[0].get_array() * 255, even, atol=1e-3)
        assert before_levels.lines[0].get_ydata()[99] == 100
        diagonal = (np.arange(256) + 1) * 100 / 256
        away = [np.abs(axes.lines[0].get_ydata() - diagonal).mean() for axes in (before_levels, after_levels)]
        assert away[1] < away[0] / 3
    assert [row[0].get_title(loc="left") for row in rows] == ["cats", "dogs"]
    assert [row[2].get_title(loc="left") for row in rows] == ["equalized", "equalized"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["red", "green", "blue"]


def test_pictures_of_few_pixels_are_said_not_to_change(run_on, photos):
    run = run_on(RawConfig(), photos[:, :, :8, :8])
    figure = EqualizeConfig(examples=1).draw(run)
    assert figure.axes[2].get_title(loc="left") == "equalized (no change)"


def test_grey_pictures_have_one_line(run_on, dim):
    figure = EqualizeConfig(examples=1).draw(run_on(RawConfig(), dim[:, :1]))
    assert len(figure.axes[1].lines) == 2  # and the diagonal
    assert not figure.legends


def test_floats_are_cut_into_levels():
    levels = torch.tensor([0.0, 0.5, 1.0])
    assert whole_levels(levels).tolist() == [0, 127, 255]
    assert whole_levels(torch.tensor([7], dtype=torch.uint8)).tolist() == [7]


def test_it_suits_runs_on_pictures(points, run_on, dim):
    config = EqualizeConfig(examples=1)
    assert config.unsuited(points) == "needs pictures, but the run's inputs are not pictures"
    run = run_on(RawConfig(), dim)
    assert config.unsuited(run) == ""
    assert png(config.draw(run)) == png(config.draw(run))
