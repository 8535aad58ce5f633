import io

import matplotlib as mpl
import numpy as np
import pytest
import torch
from PIL import Image

from deeprob import load_run
from deeprob.features import RawConfig
from deeprob.figures.gif import gif
from deeprob.figures.of_layers.stages import stage_names
from deeprob.figures.of_layers.warp_film import WarpFilmConfig
from deeprob.figures.style import png


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def test_the_film_is_a_gif_that_runs_for_ever(one_run):
    run = load_run(one_run)
    config = WarpFilmConfig(frames=2, fps=10, hold=0.5, resolution=30)
    path = config.save(run, one_run / "figures")
    assert path == one_run / "figures/warp_film.gif"
    stages = len(stage_names(run))
    assert stages == 6
    with Image.open(path) as film:
        assert (film.size, film.n_frames, film.info["loop"]) == ((480, 480), stages + 2 * (stages - 1), 0)
        durations = []
        for place in range(film.n_frames):
            film.seek(place)
            durations.append(film.info["duration"])
    assert durations == [500, *[100, 100, 500] * (stages - 1)]


def test_by_default_it_is_small_enough_for_a_page(one_run):
    assert len(gif(list(WarpFilmConfig().film(load_run(one_run))))) < 2_000_000


def test_the_same_run_gives_the_same_bytes(one_run):
    config = WarpFilmConfig(frames=1, resolution=30, pixels=200)
    films = {gif(list(config.film(load_run(one_run)))) for _ in range(2)}
    stills = {png(config.draw(load_run(one_run)), dpi=50) for _ in range(2)}
    assert (len(films), len(stills)) == (1, 1)


def test_pictures_are_those_of_the_gif_and_leave_matplotlibs_settings_alone(one_run):
    before = dict(mpl.rcParams)
    pictures = []
    for picture in WarpFilmConfig(frames=0, resolution=30, pixels=240).film(load_run(one_run)):
        assert dict(mpl.rcParams) == before
        pictures.append(picture)
    assert [(p.shape, p.dtype, s) for p, s in pictures] == [((240, 240, 3), np.uint8, 1.0)] * 6
    with Image.open(io.BytesIO(gif(pictures))) as film:
        for place, (picture, _) in enumerate(pictures):
            film.seek(place)
            shown = np.asarray(film.convert("RGB")).astype(int)
            assert np.abs(shown - picture).mean() < 3  # of 255, for the palette is small
            assert (shown[picture.min(2) == 255] == 255).all()


def test_the_still_is_a_strip_of_the_stages(one_run):
    run = load_run(one_run)
    config = WarpFilmConfig(resolution=30, points=10)
    figure = config.draw(run)
    assert figure.get_size_inches() == pytest.approx(config.size(run))
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == stage_names(run) == ["input", "linear 1", "relu 1", "linear 2", "relu 2", "scores"]
    assert [len(axes.collections[0].get_offsets()) for axes in figure.axes] == [10] * 6


def test_many_classes_and_no_points(deeprob):
    words = ("dataset.classes=12", "dataset.points_per_class=10", "model.width=4", "trainer.epochs=1")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    run = load_run("run")
    ((picture, _), *others) = WarpFilmConfig(frames=0, resolution=20, points=0, pixels=150).film(run)
    assert picture.shape == (150, 150, 3)
    assert len(others) == 5


def test_what_it_is_not_for(one_run, deeprob):
    assert WarpFilmConfig().unsuited(load_run(one_run)) == ""
    assert deeprob("dataset=random_regression", "loss=squared_error", "trainer.epochs=1", "hydra.run.dir=a").status == 0
    assert WarpFilmConfig().unsuited(load_run("a")) == "needs classes, and the run predicts numbers"


def test_names_in_a_film_are_no_formulas_and_have_all_letters(run_on, capsys, monkeypatch):
    monkeypatch.setattr("deeprob.figures.letters._told", set())
    run = run_on(RawConfig(), torch.randn(8, 2), ["$$", "_x $a$", "\U0010fffd", "\x1b"])
    assert len(list(WarpFilmConfig(frames=0, resolution=9).film(run))) == 2  # and warnings are errors
    assert "no font here has \U0010fffd;" in capsys.readouterr().err
