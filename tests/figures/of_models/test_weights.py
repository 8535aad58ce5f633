import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from deeprob import load_run
from deeprob.figures.of_models.weights import WeightsConfig, draw_weights, largest, weights_title
from deeprob.figures.style import png


def bars(axes):
    """The bars that count anything: middle → count, but exact zeros under "zeros"."""
    counted, *zeros = axes.containers
    found = {round(bar.get_x() + bar.get_width() / 2, 6): bar.get_height() for bar in counted if bar.get_height()}
    return {**found, "zeros": zeros[0][0].get_height()} if zeros else found


def test_weights_are_counted_and_exact_zeros_apart():
    axes = Figure().subplots()
    weight = torch.tensor([[0.0, 0.0, 0.1], [-0.1, 1.0, -1.0], [0.9, 0.0, 0.3]]).double()
    draw_weights(axes, weight, 5, 1.0)  # bars of 0.4 around −0.8, −0.4, 0, 0.4, 0.8
    assert bars(axes) == {-0.8: 1, 0.0: 2, 0.4: 1, 0.8: 2, "zeros": 3}
    assert (axes.get_yscale(), axes.get_xlabel()) == ("log", "weight")


def test_a_bar_lies_around_0_even_if_the_number_is_even():
    axes = Figure().subplots()
    draw_weights(axes, torch.tensor([[1e-9, -1e-9]]).double(), 4, 1.0)
    assert bars(axes) == {0.0: 2}


def test_the_words_of_a_layer():
    weight = torch.tensor([[0.0, 3.0, -4.0, 0.0], [1e-3, 0.5, 0.0, -0.005]]).double()
    assert weights_title(weight, 2) == (
        "layer 2: 2 × 4 weights\nΣ|W| = 7.51,  ΣW² = 25.3\nexactly 0: 37.5 %\nbelow 1/1000 of the largest: 50.0 %"
    )
    assert "Σ|W| = 12,000,  ΣW² = 144,000,000" in weights_title(torch.tensor([[12000.0]]).double(), 1)


def test_nothing_but_zeros():
    weight = torch.zeros(2, 2).double()
    assert largest(weight) == 1.0
    assert "exactly 0: 100.0 %\nbelow 1/1000 of the largest: 100.0 %" in weights_title(weight, 1)
    axes = Figure().subplots()
    draw_weights(axes, weight, 5, 1.0)
    assert bars(axes) == {"zeros": 4}


def test_a_panel_a_layer_without_biases(one_run):
    run = load_run(one_run)
    panels = WeightsConfig().draw(run).axes
    assert [sum(bars(axes).values()) for axes in panels] == [8 * 2, 8 * 8, 3 * 8]
    assert panels[0].get_ylabel() == "number of weights"
    assert panels[1].get_title(loc="left").startswith("layer 2: 8 × 8 weights\n")
    assert png(WeightsConfig().draw(run)) == png(WeightsConfig().draw(load_run(one_run)))


def test_runs_side_by_side_have_the_same_axes_and_l1_selects_where_l2_spreads(deeprob):
    words = (
        "dataset=moons", "dataset.points_per_class=50", "dataset.distractors=98", "model=linear", "optimizer=sgd",
        "optimizer.lr=0.1", "scheduler=constant", "trainer.epochs=60", "trainer.batch_size=full",
    )  # fmt: skip
    choices = {
        "none": ("regularizer=none",),
        "l1": ("regularizer=l1", "regularizer.proximal=true", "regularizer.strength=0.05"),
        "l2": ("regularizer=l2", "regularizer.strength=0.05"),
    }
    runs = {}
    for name, choice in choices.items():
        assert deeprob(*words, *choice, f"hydra.run.dir={name}").status == 0
        runs[name] = load_run(name)
    panels = WeightsConfig().compare(runs).axes
    assert len({axes.get_xlim() for axes in panels}) == len({axes.get_ylim() for axes in panels}) == 1
    reach = max(run.model.layer.weight.abs().max().item() for run in runs.values())
    np.testing.assert_allclose(panels[0].get_xlim()[1], 1.03 * reach, rtol=1e-6)
    zeros = dict(zip(runs, (bars(axes).get("zeros", 0) for axes in panels), strict=True))
    assert zeros["none"] == zeros["l2"] == 0
    assert zeros["l1"] > 150
    squares = {name: run.model.layer.weight.square().sum() for name, run in runs.items()}
    assert squares["l2"] < squares["none"]


@pytest.mark.parametrize("reach", [[1.0], [1.0, 2.0, 3.0], None])
def test_a_reach_for_each_layer(one_run, reach):
    run = load_run(one_run)
    reason = WeightsConfig(reach=reach).unsuited(run)
    assert reason == ("needs one figure.reach per layer, and the run has 3 layers" if reach == [1.0] else "")
    if reach == [1.0, 2.0, 3.0]:
        limits = [axes.get_xlim()[1] for axes in WeightsConfig(reach=reach).draw(run).axes]
        np.testing.assert_allclose(limits, [1.03, 2.06, 3.09])


def test_a_reach_without_any_weight_in_it(deeprob, one_run):
    result = deeprob(f"run={one_run}", "figure=weights", "figure.reach=[1e-300,1,1]", command="visualize")
    assert (result.status, result.err) == (0, "")
