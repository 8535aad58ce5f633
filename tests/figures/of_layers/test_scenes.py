import math

import numpy as np
import pytest
import torch

from deeprob.data import Examples
from deeprob.figures.of_layers.scenes import alignment, between, played, scenes_of
from deeprob.figures.of_layers.stages import Projection, Stage

CLOUD = torch.randn(40, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * torch.tensor([3.0, 1.0])
LINES = torch.stack([CLOUD[:6].view(2, 3, 2), CLOUD[6:12].view(2, 3, 2)]).view(4, 3, 2)


def stage(name, move, by_unit=True):
    """A stage that takes points, two lines of either kind and a piece of boundary where `move` takes them."""
    projection = Projection(torch.zeros(2), torch.eye(2), ("$h_{1}$", "$h_{2}$"), by_unit)
    train = Examples(move(CLOUD), torch.arange(40) % 2)
    return Stage(name, train, projection, move(CLOUD), move(LINES), [move(CLOUD[12:15])])


def turned(points, degrees):
    angle = math.radians(degrees)
    rows = [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
    return points @ torch.tensor(rows, dtype=torch.float64)


def parts(scene):
    return scene.points, scene.upright, scene.level, scene.boundary


def test_a_turn_and_a_reflection_are_found():
    centred = CLOUD - CLOUD.mean(0)
    for moved in (turned(centred, 33), turned(centred, 200) * torch.tensor([1.0, -1.0])):
        turn = alignment(moved, centred, by_unit=False)
        torch.testing.assert_close(turn @ turn.T, torch.eye(2, dtype=torch.float64))
        torch.testing.assert_close(moved @ turn, centred)


def test_units_only_change_places_and_signs():
    centred = CLOUD - CLOUD.mean(0)
    swapped = torch.stack([-centred[:, 1], centred[:, 0]], dim=1)
    assert alignment(swapped, centred, by_unit=True).tolist() == [[0, -1], [1, 0]]
    assert alignment(turned(centred, 20), centred, by_unit=True).tolist() == [[1, 0], [0, 1]]
    assert alignment(turned(centred, -80), centred, by_unit=True).tolist() == [[0, 1], [-1, 0]]


def test_points_of_each_stage_fill_the_frame():
    scenes = scenes_of([stage("input", lambda p: p), stage("linear 1", lambda p: 100 * p.square() - 7)])
    for scene in scenes:
        assert scene.points.min(0) == pytest.approx([-1, -1])
        assert scene.points.max(0) == pytest.approx([1, 1])
    low, high = CLOUD.amin(0), CLOUD.amax(0)
    frame = [(2 * (piece - low) / (high - low) - 1).numpy() for piece in (CLOUD, *LINES, CLOUD[12:15])]
    np.testing.assert_allclose(scenes[0].points, frame[0])
    for found, pieces in (
        (scenes[0].upright, frame[1:3]),
        (scenes[0].level, frame[3:5]),
        (scenes[0].boundary, frame[5:]),
    ):
        lines = np.split(found, np.flatnonzero(np.isnan(found[:, 0])))
        np.testing.assert_allclose(lines[0], pieces[0])
        np.testing.assert_allclose(found[~np.isnan(found[:, 0])], np.concatenate(pieces))
        assert np.isnan(found[:, 0]).sum() == len(pieces)


@pytest.mark.parametrize("by_unit", [True, False])
def test_what_is_only_mirrored_swapped_or_scaled_does_not_move(by_unit):
    mirrored = stage("linear 1", lambda p: p.flip(-1) * torch.tensor([-5.0, 0.1]) + 3, by_unit)
    first, second = scenes_of([stage("input", lambda p: p), mirrored])
    if by_unit:
        for before, after in zip(parts(first), parts(second), strict=True):
            np.testing.assert_allclose(after, before, atol=1e-9)
        assert second.labels == ("$h_{2}$", "−$h_{1}$")
    else:  # the orthogonal map that brings it closest to the frame of the first is that up to a little
        assert np.abs(second.points - first.points).max() < 0.2
        assert second.labels == ("plane of PC 1 and PC 2", "")


def test_a_collapsed_stage_is_a_line_or_a_point():
    flat = stage("relu 1", lambda p: p * torch.tensor([1.0, 0.0]))
    dead = stage("relu 2", lambda p: 0 * p)
    _, line, point = scenes_of([stage("input", lambda p: p), flat, dead])
    assert np.abs(line.points[:, 1]).max() == 0
    assert line.points[:, 0].min() == pytest.approx(-1)
    assert np.abs(point.points).max() == 0
    assert line.labels == ("$h_{1}$", "$h_{2}$")


def test_the_way_between_two_stages():
    a, b = scenes_of([stage("input", lambda p: p), stage("linear_relu 1", lambda p: p + p.flip(-1).abs())])
    shown = list(played([a, b], frames=3, hold=2.0, seconds=0.1))
    assert [seconds for _, seconds in shown] == [2.0, 0.1, 0.1, 0.1, 2.0]
    assert (shown[0][0], shown[-1][0]) == (a, b)
    shares = [1 / 16 * (3 - 1 / 2), 1 / 2, 9 / 16 * (3 - 3 / 2)]  # t²(3 − 2t) at ¼, ½ and ¾
    for (scene, _), share in zip(shown[1:-1], shares, strict=True):
        assert (scene.title, scene.labels) == ("input → linear relu 1", ("", ""))
        for found, before, after in zip(parts(scene), parts(a), parts(b), strict=True):
            np.testing.assert_allclose(found, before + share * (after - before))


def test_its_ends_are_the_stages():
    a, b = scenes_of([stage("input", lambda p: p), stage("linear 1", lambda p: p + p.flip(-1).abs())])
    for share, end in ((0, a), (1, b)):
        for found, expected in zip(parts(between(a, b, share)), parts(end), strict=True):
            np.testing.assert_allclose(found, expected)
