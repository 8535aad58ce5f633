import dataclasses
import io

import pytest
import torch
from matplotlib.text import Text
from PIL import Image

from deeprob import load_run
from deeprob.features import BagOfWordsConfig, ColorHistogramConfig, ColorQuantizationConfig, HogConfig, RawConfig
from deeprob.figures import caps, figure_of_runs, figures_of_runs
from deeprob.figures.base import best_first
from deeprob.figures.caps import evenly, in_words, rows_within, some_of
from deeprob.figures.of_runs.learning_curves import groups_shown
from deeprob.figures.style import PALETTE, png

WIDEST = 4000
"""Pixels a side."""


def said(figure):
    """Return what a figure says that it shows."""
    return " ".join(text.get_text() for text in figure.findobj(Text) if text.get_text().startswith("shown: "))


def size_of(figure):
    return Image.open(io.BytesIO(png(figure))).size


def drawn(words, run):
    return figure_of_runs(words, "trainer.figures").draw(run)


def test_words():
    assert some_of(24, 1000, "classes", "the first") == "24 of 1,000 classes (the first)"
    assert some_of(24, 1000, "classes") == "24 of 1,000 classes"
    assert some_of(24, 24, "classes", "the first") == ""
    assert in_words("a", "", "b", "a") == "a; b"


@pytest.mark.parametrize(
    ("count", "most", "places"), [(5, 3, [0, 2, 4]), (3, 3, [0, 1, 2]), (10, 4, [0, 3, 6, 9]), (2, 1, [0])]
)
def test_places_at_even_distances(count, most, places):
    assert evenly(count, most) == places


def test_rows_fit(monkeypatch):
    monkeypatch.setattr(caps, "SIDE", 10.0)
    assert [rows_within(3.0), rows_within(3.0, 2.0), rows_within(30.0)] == [3, 2, 1]


@pytest.fixture
def wide(deeprob):
    """A run on the plane with many classes, units and layers."""
    words = ("dataset=gaussians", "dataset.inputs=2", "dataset.classes=150", "dataset.points_per_class=2",
             "dataset.test_points_per_class=2", "model.layers=11", "model.width=130", "trainer.epochs=1",
             "trainer.batch_size=full")  # fmt: skip
    assert deeprob(*words, "hydra.run.dir=wide").status == 0
    return load_run("wide")


@pytest.mark.slow
def test_no_figure_of_a_wide_run_is_too_large_and_each_says_what_it_shows(wide, monkeypatch):
    monkeypatch.setattr(caps, "NUMBERS", 20_000)  # no linear probes
    monkeypatch.setattr(caps, "STAGES", 3)
    told = {}
    options = {"decision_boundary": "resolution=30", "feature_space": "resolution=20 stages=100 lines=3 points=50",
               "templates": "units=10000 points=20", "loss_plane": "points=3 examples=10",
               "loss_slice": "points=5 examples=10", "warp_film": "resolution=20 lines=3 frames=1"}  # fmt: skip
    for name, figure in figures_of_runs().items():
        if not figure.on_request and not figure.unsuited(wide):
            picture = drawn(f"{name} {options.get(name, '')}".strip(), wide)
            assert max(size_of(picture)) <= WIDEST, name
            told[name] = said(picture)
    assert {name: " ".join(words.split()) for name, words in told.items() if words} == {
        "activation_statistics": "shown: 9 of 10 hidden layers (at even distances)",
        "confusion": "shown: 20 of 150 classes (those most often taken for each other)",
        "feature_space": "shown: 3 of 21 stages after the input (the last); no boundary, for there are 150 classes",
        "roc": "shown: 10 of 150 classes (the first)",
        "templates": "shown: 128 of 130 units (those that feed a class most); units by 100 of 150 classes (the first)",
        "warp_film": "shown: 3 of 21 stages after the input (the last); no boundary, for there are 150 classes",
        "weights": "shown: 9 of 11 layers (at even distances)",
    }


@pytest.mark.parametrize(
    ("words", "features", "shown"),
    [
        ("color_histogram examples=100", ColorHistogramConfig(bins=4), "shown: 8 of 100 examples (the first)"),
        ("equalize examples=20", RawConfig(), ""),
        ("hog examples=100", HogConfig(), ""),
        ("mistakes count=600", RawConfig(), "shown: 24 of 600 mistakes (at most)"),
        ("palette examples=100", ColorQuantizationConfig(colors=4), ""),
        ("templates", RawConfig(), "shown: 100 of 130 classes (the first)"),
        ("words examples=100", BagOfWordsConfig(words=4, patch=4), ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_figure_of_pictures_is_too_large(words, features, shown, run_on, monkeypatch):
    monkeypatch.setattr(caps, "SIDE", 10.0)
    pictures = torch.randint(256, (130, 3, 8, 8), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    if "words" in words or "hog" in words:
        pictures = torch.nn.functional.interpolate(pictures, 16)
    figure = drawn(words, run_on(features, pictures, [f"kind {place}" for place in range(130)]))
    assert max(size_of(figure)) <= 10.3 * 150
    assert " ".join(said(figure).split()).startswith(shown)


def test_of_many_runs_the_best_are_shown_in_their_order(one_run, monkeypatch):
    monkeypatch.setattr(caps, "RUNS", 2)
    run = load_run(one_run)
    scored = {
        f"a={place}": dataclasses.replace(run, metrics={"val/accuracy": value})
        for place, value in enumerate((0.5, 0.9, float("nan"), 0.7))
    }
    assert best_first(scored) == ["a=1", "a=3", "a=0", "a=2"]
    figure = figure_of_runs("confusion", "figure").compare(scored)
    assert [part.get_suptitle() for part in figure.subfigs[0].subfigs] == ["a=1", "a=3"]
    assert said(figure) == "shown: 2 of 4 runs (the best by val/accuracy)"


def test_curves_of_the_best_are_shown(one_run):
    run = load_run(one_run)
    values = {"a=0 seed=0": 0.5, "a=1 seed=0": 0.1, "a=1 seed=1": 0.9, "a=2 seed=0": 0.7}
    scored = {title: dataclasses.replace(run, metrics={"val/accuracy": value}) for title, value in values.items()}
    figure = figure_of_runs("learning_curves curves=2", "figure").compare(scored)
    assert said(figure) == "shown: the best 2 of 3 by val/accuracy"
    below = figure.subfigs[0].legends[-1].get_texts()
    assert [text.get_text() for text in below] == ["a=1 (2 seeds)", "a=2"]


def test_of_forty_curves_six_are_told_apart_by_what_differs(one_run):
    run = load_run(one_run)
    scored = {
        f"lr={lr} dropout={place} width=[8, 8]": dataclasses.replace(run, metrics={"val/accuracy": lr - place})
        for lr in (1, 100)
        for place in range(20)
    }
    figure = figure_of_runs("learning_curves", "figure").compare(scored)
    assert said(figure) == "shown: the best 6 of 40 by val/accuracy, all with lr=100 width=[8, 8]"
    below = figure.subfigs[0].legends[-1]
    assert [text.get_text() for text in below.get_texts()] == [f"dropout={place}" for place in range(6)]
    assert [line.get_color() for line in below.get_lines()] == list(PALETTE[:6])


def test_a_group_is_as_good_as_its_seeds_are_on_average(one_run):
    run = load_run(one_run)
    values = {"a=0 seed=0": 0.9, "a=0 seed=1": 0.1, "a=0 seed=2": 0.1, "a=1": 0.8, "a=2": 0.7}
    scored = {title: dataclasses.replace(run, metrics={"val/accuracy": value}) for title, value in values.items()}
    assert list(groups_shown(scored, 2)) == ["a=1", "a=2"]


def test_what_was_asked_for_by_name_is_told_once(deeprob, monkeypatch):
    monkeypatch.setattr(caps, "LAYERS", 2)
    words = ("dataset.points_per_class=10", "model.layers=3", "model.width=4", "trainer.epochs=1")
    result = deeprob(*words, "trainer.figures=[weights]", "hydra.run.dir=run")
    note = "weights shows 2 of 3 layers (at even distances)"
    assert (result.status, result.err.count(note)) == (0, 1)
    assert f"note: trainer.figures={note}" in result.err
    shown = deeprob("run=run", "figure=weights", command="visualize")
    assert shown.err == f"note: figure={note}\n"
