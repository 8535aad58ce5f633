import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from deeprob import load_run
from deeprob.assembly.finished import Run
from deeprob.figures.of_models.mistakes import MistakesConfig, mistakes, show
from deeprob.figures.style import palette_color, png


def texts(axes):
    return [text.get_text() for text in axes.texts]


def is_cut(figure):
    """Tell whether something on a figure goes on beyond its edge."""
    pixels = np.asarray(Image.open(io.BytesIO(png(figure))).convert("L"))
    return any((edge < 255).any() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


@pytest.fixture
def of_pictures(deeprob, pictures):
    """A run on 8 test pictures: cats 0 to 3, dogs 4 to 7."""
    words = ("dataset=image_folder", f"dataset.root={pictures}", "trainer.epochs=1", "hydra.run.dir=pictures_run")
    assert deeprob(*words).status == 0
    return load_run("pictures_run")


def believes(monkeypatch, probabilities):
    """Let any run give these probabilities to the examples that it is asked for, all at once."""
    scores = torch.tensor(probabilities).log()
    monkeypatch.setattr(Run, "__call__", lambda run, inputs: scores[: len(inputs)])
    monkeypatch.setattr(Run, "scores", lambda run, split: scores[: len(run.examples(split))])


def believes_the_truth(monkeypatch, run):
    """Let a run see everywhere the class of the nearest test example."""
    test = run.data().test

    def scores(run, inputs):
        nearest = torch.cdist(inputs.flatten(1).float(), test.inputs.flatten(1).float()).argmin(1)
        return 5 * torch.eye(len(run.classes))[test.targets[nearest]]

    monkeypatch.setattr(Run, "__call__", scores)
    monkeypatch.setattr(Run, "scores", lambda run, split: scores(run, run.examples(split).inputs))


def test_the_most_wrong_come_first():
    probabilities = [[0.1, 0.9], [0.45, 0.55], [0.2, 0.8], [0.7, 0.3]]  # wrong by 0.8, 0.1, right, wrong by 0.4
    assert mistakes(torch.tensor(probabilities).log(), torch.tensor([0, 0, 1, 1])).tolist() == [0, 3, 1]


def test_what_counts_is_the_lead_over_the_right_class():
    probabilities = [[0.6, 0.4, 0.0], [0.5, 0.1, 0.4], [0.3, 0.3, 0.4]]  # 0.2, 0.4, right
    assert mistakes(torch.tensor(probabilities).log(), torch.tensor([1, 1, 2])).tolist() == [1, 0]


def test_of_equal_mistakes_the_first_comes_first():
    scores = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    assert mistakes(scores, torch.tensor([0, 0, 0, 0])).tolist() == [0, 2, 3]


def test_mistakes_of_a_very_sure_model_are_still_told_apart():
    scores = torch.tensor([[0.0, 20.0], [0.0, 25.0], [0.0, 19.0]])
    assert mistakes(scores, torch.tensor([0, 0, 0])).tolist() == [1, 0, 2]


def test_no_mistakes_are_no_places():
    assert mistakes(torch.eye(3), torch.arange(3)).tolist() == []


def test_pictures_are_shown_with_what_the_model_thought(of_pictures, monkeypatch):
    wrong = {2: [0.02, 0.98], 5: [0.6, 0.4], 7: [0.9, 0.1]}
    right = [[0.8, 0.2]] * 4 + [[0.2, 0.8]] * 4
    believes(monkeypatch, [wrong.get(place, values) for place, values in enumerate(right)])
    figure = MistakesConfig(count=2).draw(of_pictures)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "3 of 8 wrong (test)"
    assert "the 2 most probable to the model" in axes.get_title(loc="right")
    pictures = of_pictures.data().test.inputs[[2, 7]].permute(0, 2, 3, 1).tolist()
    assert [image.get_array().tolist() for image in axes.images] == pictures
    card_1 = ["cats", "0.02", "dogs", "0.98", "cats", "0.02"]
    card_2 = ["dogs", "0.10", "cats", "0.90", "dogs", "0.10"]
    assert texts(axes) == card_1 + card_2
    whole, share = axes.patches[:2]
    assert share.get_width() == pytest.approx(0.98 * whole.get_width())
    assert [axes.patches[place].get_facecolor() for place in (1, 3)] == [
        pytest.approx([int(palette_color(number)[at : at + 2], 16) / 255 for at in (1, 3, 5)] + [0.5])
        for number in (1, 0)
    ]
    assert [text.get_fontweight() for text in axes.texts[:6:2]] == ["bold", "normal", "bold"]  # the true class
    assert not is_cut(figure)


def test_a_figure_is_as_tall_as_its_mistakes_need(of_pictures, monkeypatch):
    believes(monkeypatch, [[0.2, 0.8]] * 8)  # four mistakes, in one row
    width, height = MistakesConfig(count=24).draw(of_pictures).get_size_inches()
    assert height < 2.5 < MistakesConfig(count=24).size(of_pictures)[1]
    assert width == MistakesConfig(count=24).size(of_pictures)[0]


@pytest.mark.parametrize(("height", "width"), [(4, 8), (8, 4), (5, 5)])
def test_pictures_keep_their_shape(height, width):
    axes = Figure().subplots()
    show(axes, torch.zeros(3, height, width, dtype=torch.uint8), 10.0, 20.0, 2.0)
    left, right, bottom, top = axes.images[0].get_extent()
    assert (right - left) / (bottom - top) == width / height
    assert max(right - left, bottom - top) == 2
    assert ((left + right) / 2, (top + bottom) / 2) == (11, 21)


def test_points_are_ringed_where_they_are(one_run, monkeypatch):
    run = load_run(one_run)
    examples = run.examples("test")
    scores = run(examples.inputs).double().softmax(1)
    lead = scores.amax(1) - scores[torch.arange(60), examples.targets]
    wrong = sorted(lead.nonzero().flatten().tolist(), key=lambda place: -lead[place])
    assert len(wrong) > 5
    figure = MistakesConfig(count=5).draw(run)
    (axes,) = figure.axes
    rings = [line for line in axes.lines if line.get_markersize() > 6]
    assert [line.get_xydata().tolist() for line in rings] == [[examples.inputs[place].tolist()] for place in wrong[:5]]
    assert [line.get_color() for line in rings] == [palette_color(int(examples.targets[place])) for place in wrong[:5]]
    assert axes.get_title(loc="left") == f"{len(wrong)} of 60 wrong (test)"
    assert axes.get_title(loc="right") == "ringed: the 5 most wrong"
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("$x_1$", "$x_2$")
    left, right = axes.get_xlim()
    assert left < examples.inputs[:, 0].min() < examples.inputs[:, 0].max() < right
    assert not is_cut(figure)


def test_other_inputs_are_named_by_number(deeprob, small, monkeypatch):
    assert deeprob(*small, "dataset.distractors=2", "hydra.run.dir=run").status == 0
    run = load_run("run")
    believes(monkeypatch, [[0.98, 0.01, 0.01]] * 59 + [[0.005, 0.99, 0.005]])
    targets = run.data().test.targets
    first, others = int(targets[59] != 1), int((targets[:59] != 0).sum())
    (axes,) = MistakesConfig(count=2).draw(run).axes
    assert axes.get_title(loc="left") == f"{first + others} of 60 wrong (test)"
    assert texts(axes)[:7] == ["no. 59", f"arm {int(targets[59])}", "0.00", "arm 1", "0.99", "arm 0", "0.00"]
    assert texts(axes)[9] == f"no. {int((targets != 0).nonzero()[0])}"
    assert not axes.images


def test_no_mistakes_are_said(of_pictures, monkeypatch):
    believes_the_truth(monkeypatch, of_pictures)
    figure = MistakesConfig().draw(of_pictures)
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "none of 8 wrong (test)"
    assert texts(axes) == ["No mistakes: the model gets every example right."]
    assert not is_cut(figure)


def test_no_mistakes_in_the_plane_are_said(one_run, monkeypatch):
    run = load_run(one_run)
    believes_the_truth(monkeypatch, run)
    (axes,) = MistakesConfig().draw(run).axes
    assert axes.get_title(loc="left") == "none of 60 wrong (test)"
    assert axes.get_title(loc="right") == ""


@pytest.mark.parametrize("kind", ["plane", "pictures"])
def test_a_run_is_drawn_the_same_twice(kind, request):
    run = load_run(request.getfixturevalue("one_run")) if kind == "plane" else request.getfixturevalue("of_pictures")
    files = [png(MistakesConfig().draw(run)) for _ in range(2)]
    assert files[0] == files[1]


def test_cards_of_several_runs_are_below_each_other(of_pictures):
    figure = MistakesConfig(count=6).compare({"a=1": of_pictures, "a=2": of_pictures})
    width, height = MistakesConfig(count=6).size(of_pictures)
    assert figure.get_size_inches() == pytest.approx([width, 2 * (height + 0.3)])


def test_it_needs_classes(deeprob):
    words = ("dataset=random_regression", "loss=squared_error", "trainer.epochs=1", "hydra.run.dir=run")
    assert deeprob(*words).status == 0
    assert MistakesConfig().unsuited(load_run("run")) == "needs classes, and the run predicts numbers"
