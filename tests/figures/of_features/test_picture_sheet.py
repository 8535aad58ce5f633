import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from deeprob.errors import UserError
from deeprob.features import ConcatConfig, HogConfig, PixelsConfig, RawConfig
from deeprob.features.votes import regions
from deeprob.figures.of_features.picture_sheet import (
    WIDTH,
    ExamplesConfig,
    as_rgb,
    boxed,
    faded,
    height_of,
    in_turn,
    needs_pictures,
    of_whole,
    part_of,
    put,
    sheet,
)


def test_examples_are_of_each_class_in_turn():
    targets = torch.tensor([0, 0, 0, 2, 1, 0, 1])
    places = in_turn(targets, torch.Generator().manual_seed(3))
    assert sorted(places.tolist()) == list(range(7))
    assert targets[places].tolist() == [0, 1, 2, 0, 1, 0, 0]


def test_a_class_without_examples_has_no_turn():
    targets = torch.tensor([3, 1, 3])
    assert targets[in_turn(targets, torch.Generator().manual_seed(0))].tolist() == [1, 3, 3]


def test_a_seed_draws_examples(run_on, photos):
    run = run_on(RawConfig(), photos)
    same = [ExamplesConfig(examples=2, seed=seed).chosen(run)[0].inputs for seed in (0, 0, 1, 2, 3)]
    assert torch.equal(same[0], same[1])
    assert not all(torch.equal(same[0], other) for other in same[2:])
    assert ExamplesConfig(examples=3).chosen(run)[1] == ["cats", "dogs", "cats"]
    assert len(ExamplesConfig(examples=100).chosen(run)[1]) == 6


def test_without_classes_examples_have_their_numbers(run_on, photos):
    run = run_on(RawConfig(), photos, classes=())
    examples, titles = ExamplesConfig(examples=2).chosen(run)
    places = [int(title.removeprefix("no. ")) for title in titles]
    assert torch.equal(examples.inputs, photos[places])


def test_a_split_that_is_not_there(run_on, photos):
    with pytest.raises(UserError, match=r"^split=val: run has no such split"):
        ExamplesConfig(split="val").chosen(run_on(RawConfig(), photos))


def test_a_feature_is_found_alone_and_within_concat(run_on, photos):
    alone = run_on(HogConfig(cell=8, block=1), photos)
    config, feature = part_of(alone, HogConfig)
    assert feature is alone.predictor.features
    inner = {"name": "concat", "parts": ["pixels", {"name": "hog", "cell": 8}]}
    within = run_on(ConcatConfig(parts=["raw", inner, {"name": "hog", "cell": 4}]), photos)
    config, feature = part_of(within, HogConfig)
    assert config.cell == 8
    assert feature is within.predictor.features.parts[1].parts[1]
    assert part_of(run_on(PixelsConfig(), photos), HogConfig) is None


def test_shares_of_a_whole_weigh_regions_by_their_pixels():
    plane = torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    rows, columns = regions(5, 3), regions(7, 2)
    shares = rows @ (plane @ columns.T)
    torch.testing.assert_close(of_whole(shares, rows, columns), plane.mean((2, 3)))


def test_pictures_are_shown_in_color():
    picture = torch.tensor([[[0, 255]], [[51, 0]], [[255, 102]]], dtype=torch.uint8)
    expected = [[[0, 0.2, 1], [1, 0, 0.4]]]
    np.testing.assert_allclose(as_rgb(picture), expected, atol=1e-6)
    np.testing.assert_allclose(as_rgb(picture.double() / 255), expected, atol=1e-6)
    assert as_rgb(picture[:1]).tolist() == [[[0, 0, 0], [1, 1, 1]]]


def test_faded_pictures_are_nearer_to_white():
    torch.testing.assert_close(faded(torch.tensor([0.0, 0.5, 1.0]), 0.2), torch.tensor([0.8, 0.9, 1.0]))


def test_pictures_keep_their_shape_within_a_square():
    assert boxed((3, 10, 20), 1.0, 2.0, 4.0) == (1.0, 2.0, 4.0, 2.0, 0.2)
    assert boxed((3, 20, 10), 1.0, 2.0, 4.0) == (1.0, 2.0, 2.0, 4.0, 0.2)
    assert height_of((3, 10, 20), 4.0) == 2.0
    assert height_of((3, 20, 10), 4.0) == 4.0


def test_a_sheet_has_inches_and_pictures_lie_where_they_were_put():
    axes = sheet(Figure(), 3.0, "a title", "a remark")
    image = put(axes, torch.zeros(2, 4, 3), boxed((2, 4), 1.0, 0.5, 2.0))
    assert image.get_extent() == [1.0, 3.0, 1.5, 0.5]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, WIDTH), (3.0, 0))
    assert axes.get_title(loc="left") or axes.get_title() == "a title"
    assert [text.get_text() for text in axes.texts] == ["a remark"]


def test_figures_of_pictures_need_pictures(points, run_on, photos):
    assert needs_pictures(points) == "needs pictures, but the run's inputs are not pictures"
    assert needs_pictures(run_on(RawConfig(), photos)) == ""
