import numpy as np
import pytest
import torch
from scipy.optimize import minimize, rosen, rosen_der

from deeprob.analysis.surfaces import BowlConfig, RosenbrockConfig, all_surfaces, descend, racers_of

BOWL = BowlConfig(condition=10)


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def down(words, surface=BOWL, start=(-4.0, 1.0), steps=5, **options):
    (racer,) = racers_of([words])
    return descend(surface, racer, start, steps=steps, **options)


def test_gradient_descent_on_a_bowl_by_hand():
    path = down("sgd lr=0.15", steps=3)  # x is multiplied by 0.85, y by −0.5
    assert path.points.tolist() == pytest.approx(np.array([[-4, 1], [-3.4, -0.5], [-2.89, 0.25], [-2.4565, -0.125]]))
    assert path.losses == pytest.approx([13, 7.03, 4.488550, 3.09531961], rel=1e-6)
    assert path.evaluations.tolist() == [0, 1, 2, 3]
    assert path.step_lengths[0] == pytest.approx(np.hypot(0.6, 1.5))
    assert path.distance([(0, 0), (-2.4565, 0)]) == pytest.approx(0.125)
    assert (path.updates, path.diverged) == (3, False)


def test_momentum_by_hand():
    path = down("sgd lr=0.1 momentum=0.5", steps=2)  # v = (−4, 10), then (−3.6, 0) + v/2
    assert path.points[1:].tolist() == pytest.approx(np.array([[-3.6, 0.0], [-3.04, -0.5]]))


def test_adagrads_first_step_is_as_long_in_each_coordinate():
    assert np.diff(down("adagrad lr=0.5", steps=1).points, axis=0) == pytest.approx(np.array([[0.5, -0.5]]))


def test_weight_decay_acts():
    path = down("adamw lr=0.1 weight_decay=0.5", steps=1)  # w(1 − αλ) ∓ α
    assert path.points[1] == pytest.approx([-3.8 + 0.1, 0.95 - 0.1], rel=1e-6)


def test_time_and_evaluations_only_rise():
    path = down("lbfgs max_iter=1", RosenbrockConfig(), (-1.2, 1.0), steps=20)
    assert (np.diff(path.seconds) > 0).all()
    assert (np.diff(path.evaluations) >= 1).all()
    assert path.evaluations[-1] > path.updates


def test_an_update_begins_only_within_the_evaluations():
    path = down("lbfgs max_iter=1", RosenbrockConfig(), (-1.2, 1.0), steps=200, evaluations=30)
    assert path.evaluations[-2] < 30 <= path.evaluations[-1]
    assert down("sgd", steps=50, evaluations=7).updates == 7
    assert down("sgd", steps=7, evaluations=50).updates == 7


def test_lbfgs_ends_where_scipys_does():
    path = down("lbfgs max_iter=1", RosenbrockConfig(), (-1.2, 1.0), steps=200)
    theirs = minimize(rosen, [-1.2, 1.0], jac=rosen_der, method="L-BFGS-B")
    assert path.points[-1] == pytest.approx(theirs.x, abs=1e-3)
    assert path.losses[-1] < 1e-8


def test_a_path_ends_where_there_is_nothing_left_to_do():
    path = down("lbfgs max_iter=1", steps=500)
    assert path.losses[-1] < 1e-9
    assert path.updates < 50


def test_a_path_ends_before_it_leaves_the_finite_numbers():
    path = down("sgd lr=1e3", steps=1000)
    assert path.diverged
    assert 10 < path.updates < 1000
    assert len(path.points) == len(path.losses) == len(path.evaluations) == len(path.seconds) == path.updates + 1
    assert np.isfinite(path.points).all()
    assert np.isfinite(path.losses).all()
    assert np.isfinite(path.step_lengths).all()


def test_noise_is_the_same_for_all_and_has_its_size():
    quiet, one, same, other = (
        down(words, noise=noise, seed=seed, steps=1)
        for words, noise, seed in (
            ("sgd lr=0.1", 0, 3),
            ("sgd lr=0.1", 2, 3),
            ("sgd lr=0.2", 2, 3),
            ("sgd lr=0.1", 2, 4),
        )
    )
    drawn = (quiet.points[1] - one.points[1]) / 0.1
    start, gradient = np.array([-4.0, 1.0]), np.array([-4.0, 10.0])
    assert (start - same.points[1]) / 0.2 - gradient == pytest.approx(drawn)
    assert not np.allclose(other.points[1], one.points[1])
    long = down("sgd lr=1e-9", noise=2.0, steps=400)
    assert (np.diff(long.points, axis=0) / 1e-9).std(0) == pytest.approx([2, 2], rel=0.1)


@pytest.mark.parametrize("name", all_surfaces())
def test_the_optimizers_of_the_lecture_behave_on_each_surface(name):
    surface = all_surfaces()[name]
    for racer in racers_of(surface.race()):
        path = descend(surface, racer, surface.start, steps=surface.steps)
        assert not path.diverged
        assert path.points[0].tolist() == list(surface.start)
        assert path.losses[-1] - surface.lowest() < (path.losses[0] - surface.lowest()) / 2
