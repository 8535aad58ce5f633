import math

import numpy as np
import pytest
import torch

from deeprob.features import BagOfWordsConfig, ConcatConfig, RawConfig
from deeprob.features.whitening import Whitening
from deeprob.figures.of_features.codebook import CodebookConfig, hues, needs_words, pixels_of, unwhitened, use, visible
from deeprob.figures.style import png

SMALL = {"words": 6, "patch": 4, "samples": 600, "iterations": 2}


def test_unwhitening_brings_back_what_was_whitened():
    values = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) @ torch.randn(
        7, 7, generator=torch.Generator().manual_seed(1)
    )
    whitening = Whitening(7)
    whitening.fit(values + 3, 0.01)
    torch.testing.assert_close(unwhitened(whitening(values), whitening), values.double(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("code", ["hard", "triangle"])
def test_use_is_the_mean_code(run_on, photos, code):
    feature = run_on(BagOfWordsConfig(code=code, grid=2, stride=4, **SMALL), photos).predictor.features
    patches = torch.stack(
        [
            photo[:, y : y + 4, x : x + 4].flatten().double()
            for photo in photos
            for y in range(0, 16, 4)
            for x in range(0, 24, 4)
        ]
    )  # 4 × 6 patches, so that all regions have as many
    patches -= patches.mean(1, keepdim=True)
    patches /= (patches.var(1, keepdim=True) + 10).sqrt()
    whitened = (patches - feature.whitening.mean) @ feature.whitening.matrix.double()
    distances = torch.cdist(whitened, feature.words.double())
    if code == "hard":
        expected = torch.bincount(distances.argmin(1), minlength=6).double() / len(distances)
    else:
        expected = (distances.mean(1, keepdim=True) - distances).clamp(min=0).mean(0)
    torch.testing.assert_close(use(feature, photos).double(), expected, atol=1e-4, rtol=1e-4)


def test_words_without_whitening_are_levels(run_on, photos):
    config = BagOfWordsConfig(contrast=None, epsilon=None, **SMALL)
    feature = run_on(config, photos).predictor.features
    with torch.no_grad():
        feature.words[2] = torch.arange(48.0) * 5
    expected = (np.arange(48) * 5 / 255).reshape(3, 4, 4).transpose(1, 2, 0)
    np.testing.assert_allclose(visible(config, feature)[2], expected, atol=1e-6)


def test_words_without_contrast_are_around_grey(run_on, photos):
    config = BagOfWordsConfig(epsilon=None, **SMALL)
    feature = run_on(config, photos).predictor.features
    with torch.no_grad():
        feature.words[:] = 1.0
        feature.words[:, 0] = -2.0
        feature.words[5] /= 1000  # flat
    shown = visible(config, feature)
    np.testing.assert_allclose(shown[0, 0, 0], [0, 0.75, 0.75])
    np.testing.assert_allclose(shown[0, 3, 3], [0.75] * 3)
    np.testing.assert_allclose(shown[5], 0.5, atol=0.01)


def test_hues_go_from_red_over_green_to_blue_and_grey_has_none():
    colors = torch.tensor([[1, 0, 0], [1, 1, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1], [1, 0.9, 1], [0, 0, 0.0]])
    found = hues(colors.double()[:, :, None, None].expand(-1, -1, 2, 2))
    np.testing.assert_allclose(found[:5], [0, math.pi / 3, 2 * math.pi / 3, math.pi, 4 * math.pi / 3], atol=1e-12)
    assert torch.isinf(found[5])
    assert torch.isinf(hues(torch.ones(2, 1, 3, 3))).all()


def test_the_most_used_words_come_first(run_on, photos):
    config = BagOfWordsConfig(**SMALL)
    run = run_on(ConcatConfig(parts=["color_histogram", {"name": "bag_of_words", **SMALL}]), photos)
    feature = run.predictor.features.parts[1]
    (axes,) = CodebookConfig(words=5).draw(run).axes
    assert axes.get_title(loc="left") == "Codebook: the 5 most used of 6 words of 4×4 pixels, the most used first"
    order = use(feature, photos).argsort(descending=True)[:5]
    image = np.asarray(axes.images[0].get_array())
    tiles = visible(config, feature)
    columns, step = 3, 5  # words of 4 pixels with 1 between
    for place, word in enumerate(order.tolist()):
        top, left = 1 + place // columns * step, place % columns * step
        np.testing.assert_allclose(image[top : top + 4, left : left + 4], tiles[word])


def test_words_by_hue(run_on, photos):
    config = BagOfWordsConfig(contrast=None, epsilon=None, code="hard", **{**SMALL, "words": 3})
    run = run_on(config, photos)
    with torch.no_grad():
        for word, color in enumerate(([0, 0, 250], [120, 120, 120], [250, 0, 0])):
            run.predictor.features.words[word] = torch.tensor(color).repeat_interleave(16)
    (axes,) = CodebookConfig(order="hue").draw(run).axes
    image = np.asarray(axes.images[0].get_array())
    pixels = [(image[2, 2 + 5 * place] * 255).round().tolist() for place in range(3)]
    assert pixels == [[250, 0, 0], [0, 0, 250], [120, 120, 120]]
    assert axes.get_title(loc="left") == "Codebook: 3 words of 4×4 pixels, by hue"


def test_it_suits_runs_whose_words_are_pictures(run_on, photos):
    config = CodebookConfig()
    assert (
        config.unsuited(run_on(RawConfig(), photos))
        == "needs features=bag_of_words, alone, in concat or first in chain"
    )
    edges = run_on(BagOfWordsConfig(descriptor="edges", **{**SMALL, "patch": 8}), photos)
    assert needs_words(edges) == "needs words that are pictures: descriptor=levels, not edges, in the run's features"
    run = run_on(BagOfWordsConfig(**SMALL), photos)
    assert config.unsuited(run) == ""
    assert png(config.draw(run)) == png(config.draw(run))
    width, height = config.size(run)
    assert config.compare({"a=1": run, "a=2": run}).get_size_inches() == pytest.approx([width, 2 * (height + 0.3)])
    assert pixels_of(run.config.features, run.predictor.features).shape == (6, 3, 4, 4)
