from dataclasses import dataclass

import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from deeprob import load_run
from deeprob.config import options
from deeprob.errors import UserError
from deeprob.features import BagOfWordsConfig, ColorHistogramConfig, ColorQuantizationConfig, HogConfig, RawConfig
from deeprob.figures import (
    DecisionBoundaryConfig,
    FigureConfig,
    TemplatesConfig,
    WeightsConfig,
    figure_of_runs,
    figures_of_runs,
)
from deeprob.figures.base import group_by_seed
from deeprob.figures.style import png

SHORT = ["$", "$$", "$0 to $10", "_x", "a_b^c", r"\alpha", "[/]", "<b>&"]
NAMES = [*SHORT, "x" * 300, "two\nlines \x1b[1m"]


@pytest.mark.parametrize(
    ("titles", "groups"),
    [
        (["a=1 seed=0", "a=1 seed=1", "a=2 seed=0"], {"a=1": 2, "a=2": 1}),
        (["a=1,seed=0,b=x", "a=1,seed=1,b=x"], {"a=1 b=x": 2}),
        (["a=1, dataset.seed=3 seed=0", "a=1, dataset.seed=4 seed=0"], {"a=1": 2}),
        (["a=1 dataset.fold=0", "a=1 dataset.fold=1", "a=2 dataset.folds=3"], {"a=1": 2, "a=2 dataset.folds=3": 1}),
        (["seed=0", "seed=1"], {"": 2}),
        (["hidden=[8,8] seed=0", "hidden=[8,8],seed=1", "hidden=[8, 8]"], {"hidden=[8,8]": 2, "hidden=[8, 8]": 1}),
        (["model.seeds=1", "model.seeds=2", "seed"], {"model.seeds=1": 1, "model.seeds=2": 1, "seed": 1}),
        (["one", "two"], {"one": 1, "two": 1}),
    ],
)  # fmt: skip
def test_titles_that_differ_in_a_seed_alone_go_together(titles, groups):
    found = group_by_seed(titles)
    assert {name: len(same) for name, same in found.items()} == groups
    assert [title for same in found.values() for title in same] == titles


def test_several_runs_are_panels_side_by_side_one_for_all_seeds(one_run):
    run = load_run(one_run)
    figure = DecisionBoundaryConfig(resolution=20).compare({"a=1 seed=0": run, "a=1 seed=1": run, "a=2 seed=0": run})
    panels, below = figure.subfigs
    assert [part.get_suptitle() for part in panels.subfigs] == ["a=1", "a=2"]
    assert [text.get_text() for text in below.texts] == ["shown: the first of 2 seeds"]
    assert len({ax.get_xlim() for ax in figure.axes}) == 1
    width, height = DecisionBoundaryConfig().size(run)
    assert figure.get_size_inches() == pytest.approx([2 * width, height + 0.3 + 0.18])


def test_titles_of_runs_are_no_formulas(one_run):
    run = load_run(one_run)
    figure = DecisionBoundaryConfig(resolution=5).compare({"$$": run, "_a\n$b$": run, "c" * 300: run})
    png(figure)
    assert [part.get_suptitle() for part in figure.subfigs] == ["$$", "_a $b$", f"{'c' * 44}…{'c' * 45}"]


def test_many_runs_take_several_rows(one_run):
    run = load_run(one_run)
    figure = DecisionBoundaryConfig(resolution=5).compare({f"a={number}": run for number in range(6)})
    _, height = DecisionBoundaryConfig().size(run)
    assert len(figure.axes) == 6
    assert figure.get_size_inches()[1] == pytest.approx(2 * (height + 0.3))


def test_runs_of_different_sizes_all_have_enough_room(run_on):
    inputs = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    runs = {str(count): run_on(RawConfig(), inputs, [f"class {k}" for k in range(count)]) for count in (2, 20)}
    small, large = (TemplatesConfig().size(run)[1] for run in runs.values())
    assert large > 2 * small
    figure = TemplatesConfig().compare(runs)
    png(figure)
    above, below = (part.bbox.height / figure.dpi for part in figure.subfigs)
    assert (above, below) == pytest.approx((small + 0.3, large + 0.3), rel=0.02)


def test_a_wide_panel_after_a_narrow_one_is_not_squeezed(one_run, deeprob):
    assert deeprob("model=linear", "trainer.epochs=1", "hydra.run.dir=linear").status == 0
    figure = WeightsConfig().compare({"linear": load_run("linear"), "three layers": load_run(one_run)})
    png(figure)  # matplotlib warns if nothing is left of a histogram
    assert figure.get_size_inches() == pytest.approx([3 * 2.8, 2 * 3.5])


def test_it_is_saved_under_its_name(one_run):
    path = DecisionBoundaryConfig(resolution=5).save(load_run(one_run), one_run / "figures")
    assert path == one_run / "figures/decision_boundary.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_figure_is_named():
    with pytest.raises(
        UserError, match=r"trainer.figures: no figure is called decision_bondary; did you mean decision_boundary"
    ):
        figure_of_runs("decision_bondary", "trainer.figures")


@pytest.mark.parametrize(
    ("figure", "features"),
    [
        ("color_histogram", ColorHistogramConfig(bins=4)),
        ("confusion", RawConfig()),
        ("equalize examples=8", RawConfig()),
        ("hog examples=10", HogConfig()),
        ("mistakes", RawConfig()),
        ("palette examples=10", ColorQuantizationConfig(colors=4)),
        ("templates", RawConfig()),
        ("words examples=10", BagOfWordsConfig(words=4, patch=4)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_names_of_pictures_are_no_formulas(figure, features, run_on):
    pictures = torch.randint(256, (20, 3, 16, 16), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    named_as_they_are(figure, run_on(features, pictures, NAMES))


@pytest.mark.parametrize("figure", ["confusion", "mistakes", "templates"])
def test_names_of_rows_are_no_formulas(figure, run_on):
    table = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    named_as_they_are(figure, run_on(RawConfig(), table, NAMES))


@pytest.mark.parametrize(
    "figure",
    ["confusion", "decision_boundary resolution=9", "feature_space resolution=9", "mistakes", "templates", "warp_film"],
)
def test_names_of_points_are_no_formulas(figure, run_on):
    points = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    named_as_they_are(figure, run_on(RawConfig(), points, NAMES))


def named_as_they_are(figure, run):
    """Draw a figure in which the names stand as they are, and no text but x₁ and x₂ is a formula."""
    drawn = figure_of_runs(figure, "trainer.figures").draw(run)
    png(drawn)
    texts = {text.get_text(): text.get_parse_math() for text in drawn.findobj(Text)}
    shown = [name for name in SHORT if name in texts or any(text.startswith(f"{name} (") for text in texts)]
    assert shown == SHORT
    formulas = {text for text, formula in texts.items() if formula and "$" in text}
    assert formulas <= {"$x_1$", "$x_2$", "$x_{1}$", "$x_{2}$"}


@dataclass(kw_only=True, slots=True)
class DrawnConfig(FigureConfig):
    """A figure that defines `draw` alone: a page of one color."""

    def draw(self, run):
        figure = Figure(figsize=(2, 1), facecolor=(1.0, 0.0, 0.0))
        figure.text(0, 0, run.config.seed)
        return figure


def test_a_figure_may_be_one_function_of_a_run(one_run, tmp_path):
    run = load_run(one_run)
    assert DrawnConfig().save(run, tmp_path).name == "DrawnConfig.png"
    figure = DrawnConfig().compare({"a=1": run, "a=2": run})
    assert [part.get_suptitle() for part in figure.subfigs] == ["a=1", "a=2"]
    assert figure.get_size_inches() == pytest.approx([4, 1.3])
    for axes in figure.axes:
        (image,) = axes.images
        assert image.get_array()[0, 0, :3].tolist() == [1.0, 0.0, 0.0]


def test_a_figure_that_defines_nothing_is_refused(one_run):
    with pytest.raises(AssertionError, match="a figure defines draw"):
        FigureConfig().draw(load_run(one_run))


def test_figures_of_layers_do_not_suit_a_model_that_names_none(one_run):
    run = load_run(one_run)
    run.model.__class__ = type("Unnamed", (type(run.model),), {"linear_layers": []})
    reason = "shows layers Wx + b, and model=mlp names none"
    suited = {name: figure.unsuited(run) for name, figure in figures_of_runs().items()}
    assert {name for name, why in suited.items() if why == reason} == {"activation_statistics", "templates", "weights"}
    for name in ("feature_space", "loss_plane", "decision_boundary"):
        assert suited[name] == ""
    small = {"lines": 3, "resolution": 5}
    png(options("figure")["feature_space"](**small).draw(run))
