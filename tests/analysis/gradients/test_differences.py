"""Gradients held against differences: what is right, what is wrong, and what is a kink."""

import math

import pytest
import torch
import torch.nn.functional as F

from deeprob.analysis.gradients.differences import analytic, check_entries
from deeprob.models.activations import maxout
from deeprob.objective.losses import Hinge

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def verdicts(loss, w, gradient=None):
    claimed = gradient or (lambda parameters: analytic(loss, parameters))
    return [found.verdict for found in check_entries(loss, claimed, {"w": torch.tensor(w, dtype=torch.float64)})]


def smooth(parameters):
    return (parameters["w"] * X).sin().sum() + parameters["w"].pow(3).sum()


def test_the_analytic_gradient_by_hand():
    w = torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64)
    expected = [x * math.cos(x * v) + 3 * v * v for x, v in zip(X.tolist(), w.tolist(), strict=True)]
    assert analytic(smooth, {"w": w})["w"].tolist() == pytest.approx(expected)


def test_a_right_gradient_is_ok_and_its_errors_are_small():
    found = list(check_entries(smooth, lambda p: analytic(smooth, p), {"w": torch.tensor([0.5, 1.0, -2.0]).double()}))
    assert [entry.verdict for entry in found] == ["ok"] * 3
    assert [entry.place for entry in found] == [(0,), (1,), (2,)]
    assert max(entry.error for entry in found) < 1e-8
    assert all(entry.autograd.one_sided_error > 10 * entry.error for entry in found)  # first order against second


@pytest.mark.parametrize("spoil", [lambda g: 1.01 * g, lambda g: -g, lambda g: g + 1e-3, lambda g: g / 2])
def test_a_wrong_gradient_is_wrong(spoil):
    assert verdicts(smooth, [0.5, 1.0, -2.0], lambda p: {"w": spoil(analytic(smooth, p)["w"])}) == ["wrong"] * 3


def test_one_wrong_entry_is_found():
    def claimed(parameters):
        gradient = analytic(smooth, parameters)["w"].clone()
        gradient[1] *= 1.001
        return {"w": gradient}

    assert verdicts(smooth, [0.5, 1.0, -2.0], claimed) == ["ok", "wrong", "ok"]


@pytest.mark.parametrize(
    "loss",
    [
        lambda p: p["w"].relu().sum(),
        lambda p: p["w"].abs().sum(),
        lambda p: (1 - (p["w"] + 1)).clamp(min=0).sum(),
        lambda p: torch.stack([2 * p["w"], -p["w"]]).amax(0).sum(),
    ],
    ids=["relu", "l1", "hinge", "maxout"],
)
def test_a_kink_at_the_point_is_a_kink(loss):
    assert verdicts(loss, [0.0]) == ["kink"]
    assert verdicts(loss, [0.7]) == ["ok"]


def test_a_kink_within_reach_of_h_is_a_kink_and_no_error():
    assert verdicts(lambda p: p["w"].relu().sum() + p["w"].sin().sum(), [1e-6]) == ["kink"]


def test_an_error_at_a_kink_is_wrong():
    assert verdicts(lambda p: p["w"].relu().sum(), [0.0], lambda p: {"w": torch.full_like(p["w"], 7.0)}) == ["wrong"]


def test_of_many_entries_some_are_drawn_and_all_moved_at_once():
    w = torch.linspace(-1, 1, 100, dtype=torch.float64)

    def loss(parameters):
        return parameters["w"].pow(2).sum()

    def run(seed):
        return list(check_entries(loss, lambda p: analytic(loss, p), {"w": w}, entries=5, seed=seed))

    found = run(0)
    assert len(found) == 6
    assert found[-1].place is None
    assert [entry.place for entry in found] == [entry.place for entry in run(0)]
    assert [entry.place for entry in found] != [entry.place for entry in run(1)]


INPUTS = torch.randn(16, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
TARGETS = torch.arange(16) % 3


def parameters(hidden=4):
    rng = torch.Generator().manual_seed(1)
    shapes = {"first": (hidden, 5), "bias": (hidden,), "second": (3, hidden)}
    return {name: torch.randn(shape, generator=rng, dtype=torch.float64) for name, shape in shapes.items()}


def network(planted):
    """L(W) of a network of two layers, something planted in front of the activation."""

    def loss(point):
        sums = planted(INPUTS @ point["first"].T + point["bias"])
        return F.cross_entropy(torch.tanh(sums) @ point["second"].T, TARGETS)

    return loss


def of_network(loss, point, **options):
    return list(check_entries(loss, lambda other: analytic(loss, other), point, **options))


def with_gradient(change):
    """The identity, whose gradient is changed on the way back."""

    class Planted(torch.autograd.Function):
        @staticmethod
        def forward(context, values):
            return values.clone()

        @staticmethod
        def backward(context, gradient):
            return change(gradient)

    return Planted.apply


def in_one_entry(gradient):
    changed = gradient.clone()
    changed[:, 2] *= 1.01
    return changed


@pytest.mark.parametrize(
    "change",
    [lambda g: 1.01 * g, lambda g: -g, lambda g: g / len(INPUTS), torch.zeros_like],
    ids=["1 % more", "wrong sign", "missing factor", "cut"],
)
def test_an_error_in_a_rule_of_autograd_is_wrong_wherever_it_gets(change):
    found = of_network(network(with_gradient(change)), parameters())
    assert {entry.verdict for entry in found if entry.tensor == "second"} == {"ok"}
    assert {entry.verdict for entry in found if entry.tensor != "second"} == {"wrong"}


def test_an_error_of_one_unit_is_wrong_there_alone():
    found = of_network(network(with_gradient(in_one_entry)), parameters())
    assert {e.where for e in found if e.verdict == "wrong"} == {*(f"first[2, {i}]" for i in range(5)), "bias[2]"}
    assert {entry.verdict for entry in found} == {"ok", "wrong"}


def test_an_error_in_one_entry_shows_when_that_was_not_drawn():
    loss = network(torch.relu)

    def wrong(point):
        gradients = analytic(loss, point)
        gradients["first"][17, 3] *= 1.01
        return gradients

    found = list(check_entries(loss, wrong, parameters(hidden=40), entries=4))
    assert (17, 3) not in [entry.place for entry in found if entry.tensor == "first"]
    assert [entry.where for entry in found if entry.verdict == "wrong"] == ["first (all entries at once)"]


def test_the_point_is_left_as_it_was():
    point = parameters()
    before = {name: tensor.clone() for name, tensor in point.items()}
    of_network(network(torch.relu), point, entries=4)
    assert all(torch.equal(point[name], before[name]) and not point[name].requires_grad for name in point)


def test_a_network_at_the_kink_of_its_relus_has_subgradients():
    def loss(point):  # the first example is the origin, where all sums are the biases: 0
        inputs = torch.cat([torch.zeros(1, 5, dtype=torch.float64), INPUTS])
        hidden = torch.relu(inputs @ point["first"].T + point["bias"])
        return F.cross_entropy(hidden @ point["second"].T, torch.cat([TARGETS[:1], TARGETS]))

    point = parameters() | {"bias": torch.zeros(4, dtype=torch.float64)}
    found = of_network(loss, point)
    assert {entry.verdict for entry in found if entry.tensor == "bias"} == {"kink"}
    assert {entry.verdict for entry in found if entry.tensor != "bias"} == {"ok"}
    wrong = check_entries(loss, lambda p: {k: 1.01 * g for k, g in analytic(loss, p).items()}, point)
    assert {entry.verdict for entry in wrong} == {"wrong"}


def test_what_autograd_makes_of_two_corners_that_cancel_is_wrong():
    def loss(point):  # relu(w) − relu(−w) is w, but autograd gives 0 at 0: no slope of it anywhere
        return 1 + (torch.relu(point["w"]) - torch.relu(-point["w"])).sum()

    assert verdicts(loss, [0.0]) == ["wrong"]


def test_scores_at_the_margin_of_the_hinge():
    def loss(point):  # the first score is the right one, ahead of the second by the margin, of the third by less
        return Hinge(1.0, 1)(point["w"][None], torch.tensor([0])).sum()

    assert verdicts(loss, [2.0, 1.0, 1.5]) == ["kink", "kink", "ok"]


def test_a_tie_in_maxout():
    assert verdicts(lambda p: 1 + maxout(p["w"][None], 2).sum(), [2.0, 2.0, 1.0, 3.0]) == ["kink", "kink", "ok", "ok"]


def by_hand(point):
    w = point["w"]
    return {"w": X * (w * X).cos() + 3 * w * w}


def test_two_gradients_are_checked_apart():
    def wrong(point):
        return {"w": by_hand(point)["w"] * torch.tensor([1.0, 1.01, 1.0], dtype=torch.float64)}

    point = {"w": torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64)}
    for gradient, formula, names in ((by_hand, wrong, ["formula"]), (wrong, by_hand, ["autograd"])):
        found = list(check_entries(smooth, gradient, point, formula))
        assert [entry.verdict for entry in found] == ["ok", "wrong", "ok"]
        assert [name for name, check in found[1].checks.items() if check.verdict == "wrong"] == names
        assert found[1].worst is found[1].checks[names[0]]
        assert [entry.apart for entry in found] == pytest.approx([0, 0.01 / 1.01, 0])
        assert found[1].error == pytest.approx(0.01 / 1.01, rel=1e-6)


def test_a_second_gradient_that_is_right_needs_no_more_losses():
    calls = []

    def counted(point):
        calls.append(1)
        return smooth(point)

    counts, point = [], {"w": torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64)}
    for formula in (None, by_hand):
        calls.clear()
        list(check_entries(counted, by_hand, point, formula))
        counts.append(len(calls))
    assert counts == [7, 7]  # L(w), and two for each entry


def test_each_gradient_may_have_its_own_subgradient_at_a_kink():
    def loss(point):
        return 1 + point["w"].relu().sum()

    def slope(at_zero):
        return lambda point: {"w": (point["w"] > 0).double() + at_zero * (point["w"] == 0).double()}

    (found,) = check_entries(loss, slope(0.0), {"w": torch.zeros(1, dtype=torch.float64)}, slope(1.0))
    assert {name: check.verdict for name, check in found.checks.items()} == {"autograd": "kink", "formula": "kink"}
    (found,) = check_entries(loss, slope(0.0), {"w": torch.zeros(1, dtype=torch.float64)}, slope(7.0))
    assert {name: check.verdict for name, check in found.checks.items()} == {"autograd": "kink", "formula": "wrong"}
