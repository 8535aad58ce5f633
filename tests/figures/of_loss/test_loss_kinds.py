import pytest
import torch

from deeprob import load_run
from deeprob.analysis.landscape.kinds import KINDS, shape_of
from deeprob.figures.of_loss.loss_kinds import LossKindsConfig


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def run(deeprob):
    words = ("dataset=gaussians", "dataset.points_per_class=20", "model.layers=4", "model.width=32", "trainer.epochs=2")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    return load_run("run")


def test_what_is_drawn_of_each_kind_is_of_it(run):
    config = LossKindsConfig(directions=8, points=101, examples=64)
    figure = config.draw(run)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(KINDS)
    for axes, kind in zip(figure.axes, KINDS, strict=True):
        assert shape_of(axes.lines[0].get_ydata()).kind == kind
        (words,) = [text.get_text() for text in axes.texts]
        assert words.replace("\n", " ").startswith(KINDS[kind])


def test_a_kind_that_is_not_found_is_said_to_be_missing(run):
    figure = LossKindsConfig(directions=2, steps=0, points=21, examples=16).draw(run)
    assert [text.get_text() for text in figure.axes[3].texts][-1] == "none found"
