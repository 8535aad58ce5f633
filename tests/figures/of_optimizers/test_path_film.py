import itertools

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from deeprob.analysis.surfaces import BowlConfig, Race, descend, racers_of
from deeprob.figures.of_optimizers.path_film import DPI, FRAMES, HOLD, SECONDS, RaceScreen, film, reached, save_film
from deeprob.figures.of_optimizers.paths import grounds, size
from deeprob.figures.style import drawn

BOWL = BowlConfig()
WORDS = "sgd lr=0.01", "lbfgs max_iter=1"


@pytest.fixture
def race():
    torch.set_num_threads(1)
    return Race(BOWL, BOWL.start, [descend(BOWL, racer, BOWL.start, steps=40) for racer in racers_of(WORDS)])


def test_it_is_a_gif_that_runs_for_ever(race, tmp_path):
    save_film([race], tmp_path / "figures/paths.gif")
    with Image.open(tmp_path / "figures/paths.gif") as gif:
        assert gif.info["loop"] == 0
        assert gif.size == tuple(int(DPI * inches) for inches in size([race]))
        seconds = []
        for place in range(gif.n_frames):
            gif.seek(place)
            seconds.append(gif.info["duration"] / 1000)
    assert sum(seconds) == pytest.approx(FRAMES * SECONDS + HOLD)  # pictures that are the same are one
    assert seconds[-1] >= HOLD


def test_pictures_differ_as_paths_grow_and_leave_matplotlibs_settings_alone(race):
    before, pictures = dict(mpl.rcParams), []
    for picture, _ in film([race], frames=3):
        assert dict(mpl.rcParams) == before
        pictures.append(picture)
    assert len(pictures) == 4
    assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in pictures)
    assert all((one != other).any() for one, other in itertools.pairwise(pictures))


def test_all_are_seen_after_the_same_number_of_evaluations(race):
    screens = []
    figure = drawn((4, 4), lambda canvas: screens.extend(RaceScreen(axes, race) for axes in grounds(canvas, [race])))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for share, count in ((0, 0), (0.5, 20), (1, 40)):
        screens[0].show(share, renderer)
        assert screens[0].count.get_text() == f"{count} evaluations"
        for trail, descent in zip(screens[0].trails, race.descents, strict=True):
            shown = trail.line.get_xydata()
            assert shown[0].tolist() == list(BOWL.start)
            assert len(shown) == (descent.evaluations <= count).sum()


def test_the_last_update_done():
    counts = np.array([0, 2, 5, 6])
    assert [reached(counts, made) for made in (0, 1, 2, 4, 5, 6, 9)] == [0, 0, 1, 1, 2, 3, 3]
