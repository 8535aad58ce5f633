import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from deeprob import load_run
from deeprob.figures.of_models.confusion import (
    ConfusionConfig,
    accuracy_bars,
    cell_text,
    confusion_matrix,
    matrix,
    most_confused,
    shares,
)
from deeprob.figures.style import palette_color, png, shortened


def texts(axes):
    return [text.get_text() for text in axes.texts]


def labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def is_cut(figure):
    """Tell whether something on a figure goes on beyond its edge."""
    pixels = np.asarray(Image.open(io.BytesIO(png(figure))).convert("L"))
    return any((edge < 255).any() for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]))


def test_counts_by_hand():
    scores = torch.tensor([[2.0, 1, 0], [0, 1, 0], [3, 1, 2], [0, 0, 5], [1, 0, 0]])  # predicted: 0, 1, 0, 2, 0
    counts = confusion_matrix(scores.argmax(1), torch.tensor([0, 1, 1, 2, 2]), torch.arange(3))
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert shares(counts, counts.sum(1)).tolist() == [[100, 0, 0], [50, 50, 0], [50, 0, 50]]


def test_counts_by_numpy_with_a_class_that_has_no_examples():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(500, 7)), rng.integers(0, 6, 500)
    expected = np.zeros((7, 7), int)
    np.add.at(expected, (targets, scores.argmax(1)), 1)
    counts = confusion_matrix(torch.from_numpy(scores.argmax(1)), torch.from_numpy(targets), torch.arange(7))
    assert counts.dtype == torch.int64
    assert counts.tolist() == expected.tolist()
    assert shares(counts, counts.sum(1))[6].tolist() == [0] * 7
    np.testing.assert_allclose(
        shares(counts, counts.sum(1))[:6], 100 * expected[:6] / expected[:6].sum(1, keepdims=True)
    )


def test_cells_and_bars_by_hand():
    axes = Figure().subplots()
    counts = torch.tensor([[3, 1, 0], [0, 0, 0], [0, 1, 0]])
    image = matrix(axes, counts, ("a", "b", "c"), counts.sum(1))
    accuracy_bars(axes, counts, counts.sum(1))
    assert image.get_array().tolist() == [[75, 25, 0], [0, 0, 0], [0, 100, 0]]
    assert texts(axes) == ["75.0", "25.0", "", "", "", "", "", "100", ""]
    assert labels(axes.yaxis) == ["a (4)", "b (0)", "c (1)"]
    assert labels(axes.xaxis) == ["a", "b", "c"]
    (bars,) = axes.child_axes
    assert [bar.get_width() for bar in bars.patches] == [75, 0, 0]
    assert [bar.get_facecolor()[:3] for bar in bars.patches] == [
        pytest.approx([int(palette_color(place)[at : at + 2], 16) / 255 for at in (1, 3, 5)]) for place in range(3)
    ]
    assert [(text.get_text(), text.get_position()) for text in bars.texts] == [("75.0", (78, 0)), ("0", (3, 2))]
    assert bars.get_ylim() == axes.get_ylim() == (2.5, -0.5)  # the first class is above


def test_numbers_are_readable_on_their_cells():
    axes = Figure().subplots()
    image = matrix(axes, torch.tensor([[90, 10], [40, 60]]), ("a", "b"), torch.tensor([100, 100]))
    for text, share in zip(axes.texts, (90, 10, 40, 60), strict=True):
        red, green, blue, _ = image.to_rgba([share])[0]
        is_dark = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 < 0.25
        assert text.get_color() == ("white" if is_dark else "#222222"), share


@pytest.mark.parametrize(("classes", "numbers", "names"), [(20, 400, 20), (21, 0, 21), (40, 0, 40), (41, 0, 0)])
def test_what_there_is_room_for(classes, numbers, names):
    axes = Figure().subplots()
    matrix(
        axes, torch.eye(classes, dtype=torch.int64), [f"class {place}" for place in range(classes)], torch.ones(classes)
    )
    assert len(texts(axes)) == numbers
    assert sum(label.startswith("class") for label in labels(axes.yaxis)) == names


def test_examples_a_class_are_counted_where_there_are_no_names():
    axes = Figure().subplots()
    matrix(axes, torch.eye(50, dtype=torch.int64) * 3, ["x"] * 50, torch.full((50,), 3))
    assert axes.get_ylabel() == "number of the true class (3 examples each)"
    matrix(axes, torch.diag(torch.arange(50)), ["x"] * 50, torch.arange(50))
    assert axes.get_ylabel() == "number of the true class (0 to 49 examples each)"


@pytest.mark.parametrize(
    ("share", "classes", "text"),
    [
        (0, 3, ""), (0, 10, ""), (100, 3, "100"), (100, 10, "100"), (33.333, 3, "33.3"), (33.333, 10, "33"),
        (0.3, 10, "<1"), (0.3, 3, "0.3"), (0.04, 3, "<0.1"), (99.6, 10, ">99"), (99.95, 3, ">99.9"), (99.9, 3, "99.9"),
    ],
)  # fmt: skip
def test_shares_in_words(share, classes, text):
    assert cell_text(share, classes) == text


def test_long_names_keep_both_ends():
    assert shortened("automobile", 10) == "automobile"
    assert shortened("automobiles", 10) == "auto…biles"
    assert shortened("abcdef", 5) == "ab…ef"


def test_a_run_is_counted_as_it_is_measured(one_run):
    run = load_run(one_run)
    figure = ConfusionConfig(split="val").draw(run)
    val = run.data().val
    predicted = run(val.inputs).argmax(1)
    expected = [[int(((val.targets == i) & (predicted == j)).sum()) for j in range(3)] for i in range(3)]
    image = figure.axes[0].images[0]
    np.testing.assert_allclose(image.get_array(), [[100 * n / sum(row) for n in row] for row in expected])
    assert labels(figure.axes[0].yaxis) == [f"arm {place} ({sum(row)})" for place, row in enumerate(expected)]
    assert figure.axes[0].get_title(loc="left") == f"{100 * run.metrics['val/accuracy']:.1f} % right (val)"
    assert all(axis.get_label_text() for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis))
    assert not is_cut(figure)


def test_a_run_is_drawn_the_same_twice(one_run):
    files = [png(ConfusionConfig().draw(load_run(one_run))) for _ in range(2)]
    assert files[0] == files[1]


@pytest.mark.parametrize("count", [5, 30, 45])
def test_nothing_is_cut_off(deeprob, tmp_path, count):
    name = "Rather long, as names of classes may be ($5)" if count == 5 else "kind"
    rows = [f'{place}.{more},{place},"{name} {place}"' for place in range(count) for more in range(10)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,kind", *rows]))
    words = ("dataset=csv", f"dataset.root={tmp_path}/table.csv", "trainer.epochs=1", "model.width=8")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    assert not is_cut(ConfusionConfig().draw(load_run("run")))


def test_several_runs_are_two_in_a_row(one_run):
    run = load_run(one_run)
    figure = ConfusionConfig().compare({"a=1": run, "a=2": run, "a=3": run})
    assert [part.get_suptitle() for part in figure.subfigs][:3] == ["a=1", "a=2", "a=3"]
    assert figure.get_size_inches()[0] == pytest.approx(2 * ConfusionConfig().size(run)[0])


def test_it_needs_classes(deeprob):
    words = ("dataset=random_regression", "loss=squared_error", "trainer.epochs=1", "hydra.run.dir=run")
    assert deeprob(*words).status == 0
    assert ConfusionConfig().unsuited(load_run("run")) == "needs classes, and the run predicts numbers"


def test_the_classes_most_often_taken_for_each_other():
    targets = torch.tensor([0, 0, 1, 2, 2, 3, 3, 4])
    predicted = torch.tensor([0, 3, 1, 4, 4, 0, 3, 2])  # 2 and 4 three times, 0 and 3 twice
    assert most_confused(predicted, targets, 5, 2).tolist() == [2, 4]
    assert most_confused(predicted, targets, 5, 4).tolist() == [0, 2, 3, 4]
    assert most_confused(predicted, targets, 5, 5).tolist() == [0, 1, 2, 3, 4]
    assert most_confused(targets, targets, 5, 2).tolist() == [0, 1]
    counts = confusion_matrix(predicted, targets, torch.tensor([0, 4]))
    assert counts.tolist() == [[1, 0], [0, 0]]
    assert shares(counts, torch.tensor([2, 1])).tolist() == [[50, 0], [0, 0]]
