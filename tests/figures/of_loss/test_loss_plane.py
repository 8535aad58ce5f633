import numpy as np
import pytest
import torch

from deeprob import load_run
from deeprob.analysis.landscape.directions import inner, norm_of
from deeprob.assembly.landscape_of import landscape_of
from deeprob.figures import LossPlaneConfig
from deeprob.figures.of_loss.loss_plane import at_right_angle, digits


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def three(deeprob, small):
    for seed in range(3):
        assert deeprob(*small, f"seed={seed}", f"hydra.run.dir=run{seed}").status == 0
    return [load_run(f"run{seed}") for seed in range(3)]


def test_a_plane_through_three_runs_meets_them(three):
    config = LossPlaneConfig(other=["run1", "run2"])
    landscape = landscape_of(three[0], "train", 1000, 0, torch.float64)
    plane = config.plane(three[0], landscape)
    first, second = plane.directions
    assert inner(first, second) == pytest.approx(0, abs=1e-9)
    assert norm_of(first) == pytest.approx(norm_of(second))
    steps = torch.tensor([(0.0, 0.0), *plane.marks.values()], dtype=torch.float64)
    found = landscape.losses(landscape.here, plane.directions, steps)
    np.testing.assert_allclose(found, [run.evaluate("train")["loss"] for run in three], rtol=1e-5)
    left, right, bottom, top = plane.limits
    assert all(left < x < right and bottom < y < top for x, y in plane.marks.values())


@pytest.mark.parametrize("options", [{"direction": "start"}, {"direction": "gradient"}, {"other": ["run1"]}, {}])
def test_other_planes(three, options):
    config = LossPlaneConfig(points=5, **options)
    landscape = landscape_of(three[0], "train", 1000, 0)
    plane = config.plane(three[0], landscape)
    if options:
        assert inner(*plane.directions) == pytest.approx(0, abs=1e-4)
        assert norm_of(plane.directions[0]) == pytest.approx(norm_of(plane.directions[1]), rel=1e-5)
    if "other" in options:
        found = landscape.losses(landscape.here, plane.directions, torch.tensor([plane.marks["the other run"]]))
        assert found.item() == pytest.approx(three[1].evaluate("train")["loss"], rel=1e-5)
    axes, bar = config.draw(three[0]).axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == plane.labels
    assert axes.get_title(loc="left") == "L(W) over 90 train examples"
    assert bar.get_ylabel() == "L(W)"


def test_what_of_a_direction_is_at_a_right_angle():
    along, across = at_right_angle({"a": torch.tensor([[3.0, 4.0]])}, {"a": torch.tensor([[2.0, 0.0]])})
    assert along == 1.5
    assert across["a"].tolist() == [[0, 4]]


def test_a_plane_to_itself_is_flat(three):
    axes = LossPlaneConfig(points=5, other=["run0", "run0"]).draw(three[0]).axes
    assert [text.get_text() for text in axes[0].texts][:1] == ["flat"]


def test_more_than_two_others_are_refused(three, deeprob):
    result = deeprob("run=run0", "figure=loss_plane", "figure.other=[run1,run2,run0]", command="visualize")
    assert result.status == 2
    assert "expected one or two runs" in result.err


@pytest.mark.parametrize(
    ("numbers", "count"), [([0.5, 1.0], 3), ([2.021, 2.024, 2.031], 4), ([2.0, 2.0 + 1e-9], 10), ([1, 1 + 2**-52], 16)]
)
def test_as_many_digits_as_tell_levels_apart(numbers, count):
    assert digits(np.array(numbers)) == count
