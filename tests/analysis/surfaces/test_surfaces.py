import pytest
import torch
from scipy.optimize import rosen

from deeprob.analysis.surfaces import (
    BealeConfig,
    BowlConfig,
    LocalMinimaConfig,
    RavineConfig,
    RosenbrockConfig,
    SaddleConfig,
    all_surfaces,
    descend,
    racers_of,
)
from deeprob.config import options

SURFACES = all_surfaces()
AT = [
    (BowlConfig(condition=10), (2, 1), 7),
    (RavineConfig(condition=100, angle=45), (1, 1), 1),
    (RavineConfig(condition=100, angle=45), (1, -1), 100),
    (RavineConfig(condition=10, angle=0), (2, 1), 7),
    (RavineConfig(condition=10, angle=90), (1, 2), 7),
    (SaddleConfig(flatness=0.1), (1, 0), 0.5),
    (SaddleConfig(flatness=0.1), (0, 2), 0.2),
    (SaddleConfig(flatness=0.1), (0, -1), -0.025),
    (LocalMinimaConfig(), (-1, 0), 0.05),
    (LocalMinimaConfig(), (-0.4, 0), 0.1472),
    (LocalMinimaConfig(), (2, 3), 5),
    (BealeConfig(), (0, 0), 14.203125),
    (BealeConfig(), (1, 1), 14.203125),
    (BealeConfig(), (2, -1), 2.5**2 + 2.25**2 + 1.375**2),
    (RosenbrockConfig(), (-1.2, 1), 24.2),
]


def tensor(point):
    return torch.tensor(point, dtype=torch.float64)


def gradient(surface, point):
    return torch.autograd.functional.jacobian(surface.value, tensor(point))


def curvatures(surface, point):
    return torch.linalg.eigvalsh(torch.autograd.functional.hessian(surface.value, tensor(point))).tolist()


@pytest.mark.parametrize(("surface", "point", "height"), AT)
def test_heights_by_hand(surface, point, height):
    assert surface.value(tensor(point)).item() == pytest.approx(height, rel=1e-12)


def test_rosenbrock_is_that_of_scipy():
    points = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert RosenbrockConfig().value(points).tolist() == pytest.approx(rosen(points.numpy().T).tolist())


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_points_of_any_shape(surface):
    points = torch.randn(3, 4, 2, dtype=torch.float64)
    heights = surface.value(points)
    assert heights.shape == (3, 4)
    assert heights[1, 2].item() == pytest.approx(surface.value(points[1, 2]).item())


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_the_minima_are_flat_curved_upwards_and_lowest(surface):
    left, right, bottom, top = surface.limits
    everywhere = torch.cartesian_prod(
        torch.linspace(left, right, 101, dtype=torch.float64), torch.linspace(bottom, top, 101, dtype=torch.float64)
    )
    for minimum in surface.minima():
        assert gradient(surface, minimum).abs().max() < 1e-12
        assert min(curvatures(surface, minimum)) > 0
        assert surface.value(tensor(minimum)).item() == pytest.approx(surface.lowest())
    assert surface.value(everywhere).min() >= surface.lowest() - 1e-12


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_start_and_first_minimum_are_in_sight(surface):
    left, right, bottom, top = surface.limits
    for x, y in (surface.start, surface.minima()[0]):
        assert left < x < right
        assert bottom < y < top


def test_curvatures_are_what_the_parameters_say():
    assert curvatures(BowlConfig(condition=30), (0, 0)) == pytest.approx([1, 30])
    assert curvatures(RavineConfig(condition=30, angle=20), (0, 0)) == pytest.approx([1, 30])
    assert curvatures(SaddleConfig(flatness=0.2), (0, 0)) == pytest.approx([-0.2, 1])


def test_there_is_a_saddle_a_local_minimum_and_a_barrier():
    for surface, point in ((SaddleConfig(), (0, 0)), (LocalMinimaConfig(), (-1, 0)), (LocalMinimaConfig(), (-0.4, 0))):
        assert gradient(surface, point).abs().max() < 1e-12
    assert min(curvatures(LocalMinimaConfig(), (-1, 0))) > 0
    assert min(curvatures(LocalMinimaConfig(), (-0.4, 0))) < 0


def test_each_is_an_option_by_its_name():
    names = {"beale", "bowl", "local_minima", "ravine", "rosenbrock", "saddle"}
    assert set(SURFACES) == names <= set(options("surface"))


def test_the_optimizers_of_a_race_have_the_same_places_on_each():
    races = {name: racers_of(surface.race()) for name, surface in SURFACES.items()}
    kinds = [tuple(racer.kind for racer in race) for race in races.values()]
    assert set(kinds) == {kinds[0]}
    assert [racer.optimizer.lr for racer in races["bowl"]] == list(BowlConfig.lrs.values())


@pytest.mark.parametrize(
    "surface", [BowlConfig(condition=1000), RavineConfig(condition=1), RavineConfig(condition=5e4)]
)
def test_learning_rates_follow_the_steepest_curvature(surface):
    for racer in racers_of(surface.race()):
        path = descend(surface, racer, surface.start, steps=100)
        assert not path.diverged
        assert path.losses[-1] < path.losses[0]
    assert [racer.optimizer.lr for racer in racers_of(BowlConfig(condition=80).race())][:2] == [0.0225, 0.01]
    assert BowlConfig(condition=80).race()[3:] == BowlConfig().race()[3:]
