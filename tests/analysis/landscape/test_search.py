import numpy as np
import pytest
import torch

from deeprob import randomness
from deeprob.analysis.landscape.directions import filter_normalised, random_direction
from deeprob.analysis.landscape.kinds import shape_of
from deeprob.analysis.landscape.landscape import Landscape
from deeprob.analysis.landscape.search import WAVES, keep, kind_measures, search_kinds, slice_along, turned
from deeprob.data import Examples, GaussiansConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig, Objective


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def made(model, examples=64):
    """The lecture's inputs and classes, at initial weights that are twice as large as usual."""
    train = GaussiansConfig(points_per_class=20).load().train
    chosen = train[randomness.permutation(randomness.key(0, "test"), len(train))[:examples]]
    network = model.build(10, 10, randomness.generator(0, "weights")).double()
    objective = Objective(CrossEntropyConfig().build(), NoneConfig().build())
    return Landscape(network, objective, Examples(chosen.inputs.double(), chosen.targets))


def test_each_kind_is_found_and_is_what_its_definition_says():
    result = search_kinds(made(MLPConfig(layers=4, width=32)), directions=8, points=101)
    assert list(result.found) == ["convex-ish", "non-convex", "local minima", "wild"]
    assert sum(result.counts.values()) == 8
    assert result.examples == 64
    for kind, seen in result.found.items():
        assert shape_of(seen.values) == seen.shape
        assert seen.shape.kind == kind
        assert seen.turned == (result.counts[kind] == 0)
    columns = kind_measures(result.found)
    assert columns["convex_ish_above"] <= 0.02
    assert columns["non_convex_above"] >= 0.15
    assert columns["local_minima"] >= 2
    assert columns["wild_minima"] >= 4
    assert columns["wild_travel"] >= 4


def test_softmax_regression_has_one_kind_alone():
    result = search_kinds(made(LinearConfig()), directions=8, steps=30, points=51)
    assert list(result.found) == ["convex-ish"]
    assert result.counts["convex-ish"] == 8
    assert kind_measures(result.found) == {
        "convex_ish_above": pytest.approx(0, abs=1e-9),
        "non_convex_above": 0,
        "local_minima": 0,
        "wild_minima": 0,
        "wild_travel": 0,
    }


def test_turning_makes_the_slice_more_like_the_wave():
    landscape = made(MLPConfig(layers=3, width=16))
    here = landscape.here
    begin = filter_normalised(random_direction(here, randomness.key(0, "test"), 0), here)
    wave = -np.cos(WAVES["local minima"] * np.pi * np.linspace(-1, 1, 41))

    def likeness(direction):
        return np.corrcoef(slice_along(landscape, direction, 41, turned=True).values, wave)[0, 1]

    *_, end = turned(landscape, begin, WAVES["local minima"], 60)
    assert likeness(end) > likeness(begin) + 0.3
    assert torch.equal(begin["layers.0.bias"], torch.zeros(16, dtype=torch.float64))  # what it began with is left alone


def test_the_clearest_slice_is_kept():
    landscape = made(LinearConfig(), examples=8)
    found = {}
    for place in range(4):
        direction = random_direction(landscape.here, randomness.key(0, "test"), place)
        keep(found, slice_along(landscape, direction, 21, turned=False))
    ends = [min(seen.values[0], seen.values[-1]) - seen.values.min() for seen in found.values()]
    assert len(ends) == 1
    for place in range(4):
        direction = random_direction(landscape.here, randomness.key(0, "test"), place)
        values = slice_along(landscape, direction, 21, turned=False).values
        best = found["convex-ish"].values
        assert (min(values[0], values[-1]) - values.min()) / np.ptp(values) <= ends[0] / np.ptp(best)
