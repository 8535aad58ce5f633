import pytest

from deeprob.optim.rules import RULES
from deeprob.optim.tracks import (
    FAMILY,
    LECTURE,
    Tracks,
    Watched,
    nearly_equal,
    state_of,
    table_text,
    tracks_table,
    walk,
)

BETAS = ("beta1", "beta2")


def test_the_table_is_the_lectures():
    assert tracks_table() == {
        "SGD": Tracks(False, False, False, False),
        "SGD+Momentum": Tracks(True, False, False, False),
        "Nesterov": Tracks(True, False, False, False),
        "AdaGrad": Tracks(False, True, False, False),
        "RMSProp": Tracks(False, True, True, False),
        "Adam": Tracks(True, True, True, True),
    }


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        (Watched("adam", BETAS, {"bias_correction": False}), Tracks(True, True, True, False)),
        (Watched("adam", BETAS, {"amsgrad": True}), Tracks(True, True, False, True)),
        (Watched("rmsprop", ("alpha", "momentum")), Tracks(True, True, True, False)),
        (Watched("adamax", BETAS), Tracks(True, True, True, True)),
    ],
    ids=["almost Adam", "AMSGrad", "RMSProp with momentum", "Adamax"],
)
def test_the_table_is_found_not_typed_in(watched, expected):
    assert tracks_table({"it": watched}) == {"it": expected}


def test_a_walk_ends_with_the_last_step_and_the_state_after_it():
    # v = 1, then 0.9·1 + 2; the rate is 0.1
    step, state = walk(LECTURE["SGD+Momentum"], [1.0, 2.0])
    assert step == pytest.approx(-0.1 * 2.9)
    assert state["momentum_buffer"].item() == pytest.approx(2.9)


def test_memories_are_the_rules_own():
    for watched in LECTURE.values():
        assert set(watched.memories) | set(watched.flags) <= set(RULES[watched.rule].coefficients.__kwdefaults__)


def test_the_text_has_a_line_for_each_and_marks_below_their_headings():
    heading, *lines = table_text().splitlines()
    assert heading.split("  ")[-4:] == ["first moments", "second moments", "leaky second moments", "bias correction"]
    assert [line.split()[0] for line in lines] == list(LECTURE)
    assert lines[0].split()[1:] == ["✗"] * 4
    assert lines[-1].split()[1:] == ["✓"] * 4
    places = {tuple(i for i, character in enumerate(line) if character in "✓✗") for line in lines}
    assert len(places) == 1


def test_what_is_kept_is_what_the_next_step_depends_on():
    kept = {name: state_of(watched) for name, watched in (LECTURE | FAMILY).items()}
    assert kept["SGD"] == []
    assert kept["SGD+Momentum"] == kept["Nesterov"] == ["momentum_buffer"]
    assert kept["AdaGrad"] == ["sum"]
    assert kept["RMSProp"] == ["square_avg"]
    assert kept["Adam"] == kept["AdamW"] == ["exp_avg", "exp_avg_sq"]
    assert kept["AMSGrad"] == ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"]


def test_relatives_are_found_too():
    assert tracks_table(FAMILY)["AdamW"] == Tracks(True, True, True, True)
    assert tracks_table(FAMILY)["AMSGrad"] == Tracks(True, True, False, True)
    assert tracks_table(FAMILY)["Adam without bias correction"] == Tracks(True, True, True, False)


def test_the_text_by_hand():
    text = table_text({"SGD": LECTURE["SGD"], "RMSProp": LECTURE["RMSProp"]})
    assert text.splitlines() == [
        "         first moments  second moments  leaky second moments  bias correction",
        "SGD            ✗              ✗                  ✗                   ✗",
        "RMSProp        ✗              ✓                  ✓                   ✗",
    ]


def test_steps_are_the_same_within_a_hundredth():
    assert [nearly_equal(1.0, 1.0 + difference) for difference in (0, 0.009, 0.011, -0.009, -0.011)] == [
        True, True, False, True, False,
    ]  # fmt: skip
