from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.analysis.landscape.convexity import TOLERANCE, worst_violation
from deeprob.figures import ConvexityConfig, figures_of_runs


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def titles(figure):
    return [axes.get_title(loc="left").split("\n")[0] for axes in figure.axes]


def test_the_parabola_is_convex_and_the_cosine_is_not():
    figure = ConvexityConfig().draw(None)
    assert titles(figure) == ["x²: no violation found", "cos x is not convex"]
    _, chord, gap, point = figure.axes[1].lines
    assert chord.get_ydata() == pytest.approx([-1, -1], abs=1e-3)
    assert list(gap.get_ydata()) == pytest.approx([-1, 1], abs=1e-3)
    assert point.get_ydata() == pytest.approx([1], abs=1e-3)


@pytest.mark.parametrize("words", [(), ("regularizer=l2",), ("loss=hinge",), ("loss=squared_error",)])
def test_a_linear_classifiers_loss_has_no_violation(deeprob, small, words):
    keep = [word for word in small if not word.startswith("model")]
    assert deeprob(*keep, *words, "model=linear", "hydra.run.dir=run").status == 0
    run = load_run("run")
    lines = ConvexityConfig(lines=4).lines_of(run)
    assert lines.values.shape == (2 * 4 * 3 + 1, 41)
    assert worst_violation(lines.positions, lines.values) is None
    assert titles(ConvexityConfig(lines=2).draw(run)) == ["L(W): no violation found"]


def test_a_networks_loss_has_one_which_is_shown_on_its_slice(one_run):
    run = load_run(one_run)
    config = ConvexityConfig(lines=4)
    lines = config.lines_of(run)
    found = worst_violation(lines.positions, lines.values)
    assert found.excess > 1e5 * TOLERANCE
    assert found.value > found.t * found.ends[1] + (1 - found.t) * found.ends[0]
    figure = config.draw(run)
    assert titles(figure) == ["L(W) is not convex"]
    assert list(figure.axes[0].lines[0].get_ydata()) == lines.values[found.line].tolist()


def test_batch_norm_is_looked_at_around_the_run_alone(deeprob, small):
    assert deeprob(*small, "model.norm=batch", "hydra.run.dir=run").status == 0
    assert ConvexityConfig(lines=2).lines_of(load_run("run")).values.shape == (2 * 3, 41)


def test_the_command_with_and_without_a_run(one_run, deeprob):
    assert "convexity" not in figures_of_runs()  # of which figure=all draws
    assert deeprob("figure=convexity", command="visualize").status == 0
    assert Path("outputs/figures/convexity.png").exists()
    assert deeprob(f"run={one_run}", "figure=convexity", "figure.lines=2", command="visualize").status == 0
    assert (one_run / "figures/convexity.png").exists()
