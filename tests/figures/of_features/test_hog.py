import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from deeprob.assembly.finished import load_run
from deeprob.features import ConcatConfig, HogConfig, RawConfig
from deeprob.figures.of_features.hog import HogStrokesConfig, by_cell, cell_strengths, strokes
from deeprob.figures.style import PALETTE, png


def step(height: int = 8, width: int = 8) -> torch.Tensor:
    """A picture (1, 3, H, W): dark on the left, light on the right."""
    picture = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    picture[..., width // 2 :] = 200
    return picture


def angle_of(line: np.ndarray) -> float:
    """Return a stroke's angle in degrees, clockwise from the right."""
    (x1, y1), (x2, y2) = line
    return math.degrees(math.atan2(y2 - y1, x2 - x1))


def test_a_vertical_edge_has_vertical_strokes():
    hog = HogConfig(cell=8, directions=8, norm="none", soft=False, block=1).build((3, 8, 8))
    _, weights = cell_strengths(hog, step())
    assert weights.shape == (1, 8, 1, 1)
    lines, strengths = strokes(weights[0], 8, signed=False)
    # the gradient is to the right, 0°, in the first of 8 bins over 180°, whose middle is 11.25°
    assert len(lines) == 1
    assert angle_of(lines[0]) == pytest.approx(90 + 11.25)
    np.testing.assert_allclose(lines[0].mean(0), [4, 4])  # the middle of the cell
    assert np.linalg.norm(lines[0][1] - lines[0][0]) == pytest.approx(8)
    assert strengths.tolist() == [1.0]


@pytest.mark.parametrize(("turns", "degrees"), [(0, 90), (1, 0), (2, -90), (3, 180)])
def test_signed_strokes_have_the_lighter_side_on_their_left(turns, degrees):
    picture = step().rot90(turns, (2, 3))  # the lighter side is to the right, above, to the left, below
    hog = HogConfig(cell=8, directions=36, norm="none", soft=False, signed=True).build((3, 8, 8))
    lines, _ = strokes(cell_strengths(hog, picture)[1][0], 8, signed=True)
    (line,) = lines
    np.testing.assert_allclose(line[0], [4, 4])  # from the middle of the cell
    assert np.linalg.norm(line[1] - line[0]) == pytest.approx(4)
    off = (angle_of(line) - degrees + 180) % 360 - 180
    assert off == pytest.approx(5)  # a bin has 10°
    (x, y), left = line[1] - line[0], line[0] + 0.5
    lighter = np.array([y, -x]) * 0.5 + left  # to the left of someone who goes along, with y downwards
    darker = np.array([-y, x]) * 0.5 + left
    levels = picture[0, 0]
    assert levels[int(lighter[1]), int(lighter[0])] > levels[int(darker[1]), int(darker[0])]


def test_lengths_and_places_are_those_of_the_cells():
    weights = torch.zeros(2, 2, 3)
    weights[0, 1, 2], weights[1, 0, 0] = 1.0, 4.0
    lines, strengths = strokes(weights, 10, signed=False)
    assert strengths.tolist() == [0.25, 1.0]  # the strongest lies on top
    np.testing.assert_allclose(lines.mean(1), [[25, 15], [5, 5]])
    np.testing.assert_allclose(np.linalg.norm(lines[:, 1] - lines[:, 0], axis=1), [2.5, 10])
    np.testing.assert_allclose(np.abs([angle_of(line) % 180 for line in lines]), [135, 45])  # gradients at 45° and 135°


def test_a_picture_without_edges_has_no_strokes():
    lines, strengths = strokes(torch.zeros(9, 2, 2), 4, signed=False)
    assert lines.shape == (0, 2, 2)
    assert strengths.shape == (0,)


def test_a_cell_has_the_mean_of_its_numbers_in_all_blocks():
    hog = HogConfig(cell=4, directions=5, block=2).build((3, 12, 16))
    pictures = torch.randint(256, (2, 3, 12, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    blocks = hog.extract(pictures).view(2, 2, 3, 2, 2, 5)  # block row and column, cell row and column, direction
    expected = torch.zeros(2, 5, 3, 4)
    for row in range(3):
        for column in range(4):
            inside = [
                blocks[:, r, c, row - r, column - c]
                for r in range(2)
                for c in range(3)
                if 0 <= row - r < 2 and 0 <= column - c < 2
            ]
            expected[:, :, row, column] = torch.stack(inside).mean(0)
    torch.testing.assert_close(by_cell(hog.extract(pictures), (5, 3, 4), 2), expected)


def test_strokes_lie_over_a_pale_picture(run_on):
    features = HogConfig(cell=4, directions=8, norm="none", soft=False, before=["grayscale"])
    run = run_on(features, torch.cat([step(8, 12)] * 2))
    figure = HogStrokesConfig(examples=1).draw(run)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "HoG: 8 directions over a half turn in cells of 4×4 pixels"
    assert [text.get_text() for text in axes.texts][1:] == ["cats"]
    picture, pale = axes.images
    assert picture.get_array()[0, 0].tolist() == [0, 0, 0]
    np.testing.assert_allclose(pale.get_array()[0, 0], [0.7] * 3, atol=1e-6)
    (collection,) = [child for child in axes.collections if isinstance(child, LineCollection)]
    segments = np.stack(collection.get_segments())
    left, right, bottom, top = pale.get_extent()
    scale = (right - left) / 12
    assert (bottom - top) / 8 == pytest.approx(scale)
    # the edge is in the middle cells of both rows; all strokes are alike
    np.testing.assert_allclose(segments.mean(1), [[left + 6 * scale, top + y * scale] for y in (2, 6)], atol=1e-6)
    np.testing.assert_allclose(collection.get_colors()[:, :3], [to_rgb(PALETTE[0])] * 2)


def test_signs_are_explained(run_on):
    run = run_on(HogConfig(signed=True), torch.cat([step()] * 2))
    (axes,) = HogStrokesConfig(examples=1).draw(run).axes
    assert "lighter side on the left" in axes.texts[0].get_text()
    assert "whole turn" in axes.get_title(loc="left")


@pytest.mark.parametrize("size", [(8, 8), (32, 32), (240, 320), (64, 16)])
def test_rows_fit_the_sheet(run_on, size):
    run = run_on(HogConfig(cell=8, block=1), torch.cat([step(*size)] * 4))
    figure = HogStrokesConfig(examples=4).draw(run)
    (axes,) = figure.axes
    bottom = axes.get_ylim()[0]
    boxes = [image.get_extent() for image in axes.images]
    assert len(boxes) == 8
    assert all(0 <= left < right <= 8 and 0 < top < below <= bottom for left, right, below, top in boxes)
    for one, other in itertools.pairwise(boxes):
        assert other[0] > one[1] or other[3] > one[2]  # further right, or further down
    assert figure.get_size_inches()[0] < 8.3


def test_it_suits_runs_with_the_feature(run_on, photos):
    config = HogStrokesConfig()
    assert config.unsuited(run_on(RawConfig(), photos)) == "needs features=hog, alone, in concat or first in chain"
    run = run_on(ConcatConfig(parts=["color_histogram", "hog"]), photos)
    assert config.unsuited(run) == ""
    assert png(config.draw(run)) == png(config.draw(run))
    width, height = config.size(run)
    assert config.compare({"a=1": run, "a=2": run}).get_size_inches() == pytest.approx([width, 2 * (height + 0.3)])


def test_the_command(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", "trainer.epochs=1")
    assert deeprob(*words, "features=concat", "hydra.run.dir=run").status == 0
    status, out, err = deeprob("run=run", "figure=hog", "figure.examples=2", command="visualize")
    assert (status, out, err) == (0, "figure     run/figures/hog.png\n", "")
    assert Path("run/figures/hog.png").read_bytes().startswith(b"\x89PNG")
    (axes,) = HogStrokesConfig(examples=2).draw(load_run("run")).axes
    assert [text.get_text() for text in axes.texts][1:] == ["cats", "dogs"]
    status, _, err = deeprob("run=run", "figure=palette", command="visualize")
    assert (status, err) == (
        2,
        "error: figure=palette needs features=color_quantization, alone, in concat or first in chain\n",
    )
