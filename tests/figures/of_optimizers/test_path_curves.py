import numpy as np
import pytest
import torch

from deeprob.analysis.surfaces import BowlConfig, LocalMinimaConfig, Race, descend, racers_of
from deeprob.figures.of_optimizers.path_curves import LOWEST, path_curves
from deeprob.figures.style import PALETTE, png


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def race(surface, *words, steps=30):
    return Race(surface, surface.start, [descend(surface, r, surface.start, steps=steps) for r in racers_of(words)])


def curve(axes, number):
    return next(line.get_xydata() for line in axes.get_lines() if line.get_color() == PALETTE[number])


def test_f_above_its_minimum_against_updates_evaluations_and_time():
    race_ = race(LocalMinimaConfig(), "sgd lr=0.05", "lbfgs max_iter=1")
    figure = path_curves([race_])
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "updates",
        "evaluations of f and its gradient",
        "milliseconds",
    ]
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    for number, descent in enumerate(race_.descents):
        for axes, counts in zip(
            figure.axes, (np.arange(descent.updates + 1), descent.evaluations, 1000 * descent.seconds), strict=True
        ):
            drawn = curve(axes, number)
            assert drawn[:, 0] == pytest.approx(counts)
            assert drawn[:, 1] == pytest.approx(descent.losses + 4)
    assert curve(figure.axes[1], 1)[-1, 0] > curve(figure.axes[0], 1)[-1, 0]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["sgd lr=0.05", "lbfgs max_iter=1"]


def test_what_is_0_is_drawn_at_the_lowest_and_what_diverges_too():
    figure = path_curves([race(BowlConfig(condition=1), "sgd lr=1", "sgd lr=1e3", steps=300)])
    assert curve(figure.axes[0], 0)[1:, 1] == pytest.approx(LOWEST)
    assert curve(figure.axes[0], 1)[-1, 1] > 1e250
    assert figure.axes[0].get_ylim()[1] < 1e3
    assert png(figure, dpi=30).startswith(b"\x89PNG")


def test_each_race_is_a_row():
    figure = path_curves(
        [race(BowlConfig(), "sgd lr=0.01", steps=3), race(LocalMinimaConfig(), "sgd lr=0.02", steps=3)]
    )
    assert [axes.get_title("left") for axes in figure.axes] == ["bowl", "", "", "local minima", "", ""]
    assert [axes.get_xlabel() for axes in figure.axes[::3]] == ["", "updates"]
