import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle

from deeprob.features import ColorQuantizationConfig, ConcatConfig, RawConfig, color_quantization
from deeprob.figures.of_features.palette import PaletteConfig, used
from deeprob.figures.style import png


@pytest.fixture(autouse=True)
def _few_pixels_to_learn_from(monkeypatch):
    monkeypatch.setattr(color_quantization, "_PIXELS", 2**10)


def flags() -> torch.Tensor:
    """Two pictures (2, 3, 4, 5) of three colors: red 50 %, blue 30 %, white 20 % of each."""
    colors = torch.tensor([[200, 0, 0]] * 10 + [[0, 0, 180]] * 6 + [[255, 255, 255]] * 4, dtype=torch.uint8)
    return colors.T.reshape(1, 3, 4, 5).repeat(2, 1, 1, 1)


@pytest.mark.parametrize("grid", [1, 3])
def test_swatches_are_sorted_by_use(run_on, grid):
    run = run_on(ColorQuantizationConfig(colors=3, grid=grid), flags())
    figure = PaletteConfig(examples=2).draw(run)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "Palette of 3 colours"
    swatches = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    colors = [np.array(patch.get_facecolor()[:3]) * 255 for patch in swatches]
    np.testing.assert_allclose(colors, [[200, 0, 0], [0, 0, 180], [255, 255, 255]], atol=1e-3)
    lefts = [patch.get_x() for patch in swatches]
    assert lefts == sorted(lefts)
    assert [text.get_text() for text in axes.texts[1:]] == ["50.0", "30.0", "20.0", "cats", "dogs"]


def test_use_is_counted_pixel_by_pixel(run_on, photos):
    feature = run_on(ColorQuantizationConfig(colors=5, grid=4), photos).predictor.features
    pixels = photos.movedim(1, -1).reshape(-1, 1, 3).double()
    nearest = (pixels - feature.palette.double()).square().sum(2).argmin(1)
    torch.testing.assert_close(used(feature, photos), torch.bincount(nearest, minlength=5).float() / len(pixels))


def test_pictures_are_shown_before_and_after(run_on, photos):
    run = run_on(ConcatConfig(parts=["hog", {"name": "color_quantization", "colors": 2}]), photos)
    config = PaletteConfig(examples=4)
    (axes,) = config.draw(run).axes
    examples, _ = config.chosen(run)
    painted = run.predictor.features.parts[1].quantized(examples.inputs)
    assert len(axes.images) == 8
    for place in range(4):
        before, after = axes.images[2 * place : 2 * place + 2]
        np.testing.assert_allclose(before.get_array() * 255, examples.inputs[place].permute(1, 2, 0), atol=1e-3)
        np.testing.assert_allclose(after.get_array() * 255, painted[place].permute(1, 2, 0), atol=1e-3)
        assert before.get_extent()[1] < after.get_extent()[0]
        assert before.get_extent()[2:] == after.get_extent()[2:]
    assert max(image.get_extent()[2] for image in axes.images) < axes.get_ylim()[0]
    assert min(image.get_extent()[3] for image in axes.images) > max(p.get_y() + p.get_height() for p in axes.patches)


def test_of_many_colors_the_most_used_are_shown(run_on, photos):
    run = run_on(ColorQuantizationConfig(colors=70), photos)
    (axes,) = PaletteConfig(examples=1).draw(run).axes
    assert axes.get_title(loc="left") == "Palette of 70 colours, the 64 most used"
    assert len(axes.patches) == 64
    shares = [float(text.get_text()) for text in axes.texts[1:65]]
    assert shares == sorted(shares, reverse=True)


def test_it_suits_runs_with_the_feature(run_on, photos):
    config = PaletteConfig(examples=2)
    assert (
        config.unsuited(run_on(RawConfig(), photos))
        == "needs features=color_quantization, alone, in concat or first in chain"
    )
    run = run_on(ColorQuantizationConfig(), photos)
    assert config.unsuited(run) == ""
    assert png(config.draw(run)) == png(config.draw(run))
