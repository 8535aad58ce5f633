import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from deeprob.features import BagOfWordsConfig, ChainConfig, RawConfig
from deeprob.figures.of_features.codebook import bag_of
from deeprob.figures.of_features.picture_sheet import Box
from deeprob.figures.of_features.words import WordsConfig, firing, heated, maps, patch_frame, pictured, tinted
from deeprob.figures.style import PALETTE, png

SMALL = {"words": 6, "patch": 4, "samples": 600, "iterations": 2}


@pytest.mark.parametrize("code", ["hard", "triangle"])
@pytest.mark.parametrize("stride", [1, 3])
def test_the_mean_of_a_map_is_what_the_picture_has(run_on, photos, code, stride):
    features = BagOfWordsConfig(code=code, grid=1, stride=stride, standardize="none", **SMALL)
    feature = run_on(features, photos).predictor.features
    ((_, seen),) = feature.prepared(photos[:1])
    words = torch.tensor([4, 1])
    heat = maps(feature, seen, words)
    assert heat.shape == (2, (16 - 4) // stride + 1, (24 - 4) // stride + 1)
    bag = feature.extract(photos[:1])[0]
    torch.testing.assert_close(heat.mean((1, 2)), bag[words], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(firing(feature, seen), bag)


def test_a_word_fires_where_its_patch_is(run_on):
    pictures = torch.randint(256, (2, 3, 12, 12), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    features = BagOfWordsConfig(code="hard", contrast=None, epsilon=None, **SMALL)
    feature = run_on(features, pictures).predictor.features
    with torch.no_grad():
        feature.words[:] = -1000.0
        feature.words[3] = 128.0
        feature.words[2] = pictures[0, :, 5:9, 2:6].flatten()
    heat = maps(feature, pictures[:1].float(), torch.tensor([2]))[0]
    assert heat.nonzero().tolist() == [[5, 2]]
    frame = patch_frame(Box(1.0, 2.0, 1.2, 1.2, 0.1), heat, 4, 1)
    assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == pytest.approx((1.2, 2.5, 0.4, 0.4))


def test_codes_lie_in_the_middle_of_their_patches():
    heat = torch.zeros(3, 5)  # patches of 4 pixels, 2 apart: 8 × 12 pixels
    box = heated(Box(1.0, 2.0, 1.2, 0.8, 0.1), heat, 4, 2)
    # the first patch has its middle at 2 pixels, and 2 pixels around it are its own; the last one's is at 10 of 12
    assert box == pytest.approx((1.1, 2.1, 1.0, 0.6, 0.2))


def test_heat_is_opaque_at_its_largest():
    layer = tinted(torch.tensor([[0.0, 1.0], [2.0, 4.0]]))
    assert layer[..., 3].tolist() == [[0, 0.25], [0.5, 1]]
    np.testing.assert_allclose(layer[0, 0, :3], to_rgb(PALETTE[5]), atol=1e-6)
    assert tinted(torch.zeros(2, 2))[..., 3].max() == 0


def test_words_are_in_the_order_of_their_standardised_number(run_on, photos):
    run = run_on(BagOfWordsConfig(grid=2, **SMALL), photos)
    config = WordsConfig(examples=2, words=3)
    (axes,) = config.draw(run).axes
    examples, titles = config.chosen(run)
    seen = run.features(examples.inputs).view(2, 4, 6).mean(1).sort(1, descending=True).values[:, :3]
    expected = []
    for title, row in zip(titles, seen.tolist(), strict=True):
        expected += [title, *(f"{value:+.1f}" for value in row)]
    assert [text.get_text() for text in axes.texts[1:]] == expected
    assert len(axes.images) == 2 * (1 + 3 * 3)  # a picture, and words with a patch, the picture in grey, and heat
    assert len([patch for patch in axes.patches if isinstance(patch, Rectangle)]) == 6
    assert "standard deviations" in axes.texts[0].get_text()
    picture, patch, grey, heat = axes.images[:4]
    assert patch.get_extent()[2] < grey.get_extent()[3] == picture.get_extent()[3]  # above; and in one row
    assert picture.get_extent()[1] < grey.get_extent()[0] < heat.get_extent()[0] < heat.get_extent()[1]
    assert axes.images[-1].get_extent()[2] < axes.get_ylim()[0]


def test_without_standardisation_mean_codes_are_said(run_on, photos):
    run = run_on(BagOfWordsConfig(standardize="none", before=["grayscale"], **SMALL), photos)
    (axes,) = WordsConfig(examples=1, words=8).draw(run).axes
    assert "a word and its mean code" in axes.texts[0].get_text()
    assert len(axes.texts) == 2 + 6  # there are no more words
    assert not any(text.get_text().startswith("+") for text in axes.texts)


def test_it_suits_runs_with_the_feature(run_on, photos):
    config = WordsConfig(examples=1)
    assert (
        config.unsuited(run_on(RawConfig(), photos))
        == "needs features=bag_of_words, alone, in concat or first in chain"
    )
    run = run_on(BagOfWordsConfig(**SMALL), photos)
    assert config.unsuited(run) == ""
    assert png(config.draw(run)) == png(config.draw(run))


@pytest.mark.parametrize("chained", [False, True])
def test_opposites_of_words_fire_too(run_on, photos, chained):
    bag = {"code": "threshold", "grid": 1, "threshold": 0.15, **SMALL}
    whiten = {"name": "whiten", "method": "cholesky"}
    parts = [{"name": "bag_of_words", "standardize": "none", **bag}, whiten]
    features = ChainConfig(parts=parts) if chained else BagOfWordsConfig(standardize="none", **bag)
    run = run_on(features, photos)
    assert WordsConfig().unsuited(run) == ""
    _, feature = bag_of(run)
    ((_, seen),) = feature.prepared(photos[:1])
    words = torch.tensor([4, 1, 6 + 4, 6 + 1])
    heat = maps(feature, seen, words)
    torch.testing.assert_close(heat.mean((1, 2)), feature.extract(photos[:1])[0][words], atol=1e-4, rtol=1e-4)
    assert not ((heat[0] > 0) & (heat[2] > 0)).any()  # a patch does not go a word's way and the opposite
    assert png(WordsConfig(examples=1).draw(run))


def test_an_opposite_is_shown_with_light_and_dark_exchanged():
    patches = torch.tensor([0.0, 0.25]).view(2, 1, 1, 1).expand(2, 3, 3, 3)
    assert pictured(patches, 1).unique().tolist() == [0.25]
    assert pictured(patches, 3).unique().tolist() == [0.75]
