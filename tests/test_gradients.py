"""Gradients held against differences: what is right, what is wrong, and what is a kink."""

import math

import pytest
import torch

from deeprob.gradients import analytic, compare

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)


def verdicts(loss, w, gradient=None):
    claimed = gradient or (lambda parameters: analytic(loss, parameters))
    return [found.verdict for found in compare(loss, claimed, {"w": torch.tensor(w, dtype=torch.float64)})]


def smooth(parameters):
    return (parameters["w"] * X).sin().sum() + parameters["w"].pow(3).sum()


def test_the_analytic_gradient_by_hand():
    w = torch.tensor([0.5, 1.0, -2.0], dtype=torch.float64)
    expected = [x * math.cos(x * v) + 3 * v * v for x, v in zip(X.tolist(), w.tolist(), strict=True)]
    assert analytic(smooth, {"w": w})["w"].tolist() == pytest.approx(expected)


def test_a_right_gradient_is_ok_and_its_errors_are_small():
    found = list(compare(smooth, lambda p: analytic(smooth, p), {"w": torch.tensor([0.5, 1.0, -2.0]).double()}))
    assert [entry.verdict for entry in found] == ["ok"] * 3
    assert [entry.place for entry in found] == [(0,), (1,), (2,)]
    assert max(entry.error for entry in found) < 1e-8
    assert all(entry.one_sided_error > 10 * entry.error for entry in found)  # first order against second


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
        return list(compare(loss, lambda p: analytic(loss, p), {"w": w}, entries=5, seed=seed))

    found = run(0)
    assert len(found) == 6
    assert found[-1].place is None
    assert [entry.place for entry in found] == [entry.place for entry in run(0)]
    assert [entry.place for entry in found] != [entry.place for entry in run(1)]
