import signal

import pytest

from deeprob.errors import (
    CheckFailed,
    DeeprobError,
    Diverged,
    Interrupted,
    Superseded,
    UserError,
    did_you_mean,
    first_few,
)


@pytest.mark.parametrize(
    ("error", "status", "outcome"),
    [
        (UserError("seed=-1: expected …"), 2, "failed"),
        (Diverged("loss", 7), 3, "diverged"),
        (CheckFailed("1 of 3 jobs failed"), 4, "failed"),
        (Superseded("run now belongs to process 12 on host"), 4, "failed"),
    ],
)
def test_each_end_has_its_status_and_its_word(error, status, outcome):
    assert isinstance(error, DeeprobError)
    assert (error.status, error.outcome) == (status, outcome)


def test_diverged_says_what_and_when_and_what_to_try():
    error = Diverged("gradient", 12)
    assert (error.quantity, error.step) == ("gradient", 12)
    assert str(error).startswith("diverged: the gradient became NaN or infinite at step 12;")


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 130, "interrupted by SIGINT"), (signal.SIGTERM, 143, "interrupted by SIGTERM")],
)
def test_interrupted_has_the_shells_status(number, status, words):
    error = Interrupted(number)
    assert error.status == status
    assert str(error) == words


def test_no_except_exception_swallows_an_interruption():
    assert not issubclass(Interrupted, Exception)


def test_of_a_long_list_the_others_are_counted():
    assert first_few(["a"]) == "a"
    assert first_few(list("abcde")) == "a, b, c, d, e"
    assert first_few(list("abcdefgh")) == "a, b, c, d, e and 3 more"


def test_did_you_mean_names_the_closest_option():
    assert did_you_mean("adamww", ["sgd", "adam", "adamw"]) == "did you mean adamw?"


def test_did_you_mean_lists_the_options_when_none_is_close():
    assert did_you_mean("xyz", iter(["sgd", "adamw"])) == "choose from sgd, adamw"
