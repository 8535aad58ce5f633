"""A job in a process of its own: what it returns or raises comes back, and its death is an error of the job alone."""

import os
import signal
import sys
import threading

import pytest

from deeprob.errors import DeeprobError, Diverged, Interrupted, UserError
from deeprob.sweeps.isolation import isolated


def test_the_value_comes_back_and_nothing_else_changes():
    seen = []

    def task():
        seen.append("here")
        os.environ["DEEPROB_TEST_ISOLATED"] = "1"
        return {"pid": os.getpid(), "loss": 0.5}

    answer = isolated(task)
    assert answer["loss"] == 0.5
    assert answer["pid"] != os.getpid()
    assert seen == []
    assert "DEEPROB_TEST_ISOLATED" not in os.environ


@pytest.mark.parametrize(
    "error", [UserError("seed=x: expected a whole number"), Diverged("data loss", 4, 0, 3), Interrupted(signal.SIGTERM)]
)
def test_an_error_for_the_user_is_raised_as_it_was(error):
    def task():
        raise error

    with pytest.raises(type(error)) as caught:
        isolated(task)
    assert (str(caught.value), caught.value.status) == (str(error), error.status)


def test_a_bug_is_shown_with_its_trace_and_raised_by_its_name(capfd):
    def task():
        return 1 / 0

    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        isolated(task)
    assert "in task" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("end", "how"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "by SIGKILL"),
        (lambda: sys.exit(5), "with status 5, before it was done"),
        (lambda: os._exit(0), "with status 0, before it was done"),
    ],
    ids=["kill", "exit", "vanish"],
)
def test_a_process_that_ends_without_an_answer_is_named(end, how):
    with pytest.raises(DeeprobError) as caught:
        isolated(end)
    assert str(caught.value) == f"its process ended {how}"


@pytest.mark.parametrize("where", ["parent", "both"])
def test_a_signal_ends_the_job_before_it_is_raised(tmp_path, where):
    """SIGTERM comes to the parent alone and is handed on; Ctrl-C in a terminal reaches both."""
    parent, begun = os.getpid(), tmp_path / "begun"

    def raised(number, frame):
        raise Interrupted(number)

    def task():
        signal.signal(signal.SIGTERM, raised)
        try:
            begun.touch()
            threading.Event().wait(0.2)  # until the parent waits for an answer
            if where == "both":
                os.kill(parent, signal.SIGINT)
                raise KeyboardInterrupt
            os.kill(parent, signal.SIGTERM)
            threading.Event().wait(30)
        finally:
            (tmp_path / "cleaned").touch()

    before = signal.signal(signal.SIGTERM, raised)
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell runs in the background
    try:
        with pytest.raises(Interrupted) as caught:
            isolated(task)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, ctrl_c)
    assert caught.value.status == (130 if where == "both" else 143)
    assert (tmp_path / "cleaned").exists()
