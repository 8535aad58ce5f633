"""What is done for one job of a sweep, whoever launches it."""

import pickle
from pathlib import Path

import pytest

from deeprob.assembly.config import SweepConfig
from deeprob.errors import Diverged, Skipped, Superseded, UserError
from deeprob.sweeps.job import Job
from deeprob.sweeps.task import SweepTask


class Plan:
    """As much of a job's config as is asked for."""

    def __init__(self, fail_fast: bool) -> None:
        self.sweep = SweepConfig(fail_fast=fail_fast)


def job(number: int) -> Job:
    return Job(number, [f"seed={number}"], Plan(fail_fast=False), Path())


def test_what_failed_is_one_line_and_remembered(capsys):
    task = SweepTask(["-m", "seed=0,1"])
    task.end(job(3), UserError("seed=x: expected a whole number"))
    task.end(job(5), Diverged("data loss", 4, 0, 3))
    task.end(job(6), PermissionError(13, "Permission denied", "somewhere"))
    assert capsys.readouterr().err.splitlines() == [
        "error: job 3: seed=x: expected a whole number",
        "error: job 5: diverged: the data loss became NaN or infinite at step 4 (epoch 1, batch 4); "
        "try a smaller optimizer.lr",
        "error: job 6: somewhere: Permission denied",
    ]
    assert task.failed == [3, 5, 6]


def test_each_end_is_handed_on(capsys):
    task, ended = SweepTask([]), []
    task.on_end = lambda job, outcome: ended.append((job.number, outcome["status"], outcome["error"]))
    task.end(job(1), {"status": "completed"})
    task.end(job(2), Diverged("data loss", 4))
    task.end(job(0), Skipped("job 2 failed"))
    assert [(number, status) for number, status, _ in ended] == [(1, "completed"), (2, "diverged"), (0, "skipped")]
    assert task.failed == [2]
    assert capsys.readouterr().err.count("error: ") == 1  # what was not started is no failure of its own


def test_another_process_gets_no_other_jobs():
    task = SweepTask(["-m"], searching=True)
    task.jobs = {0: job(0), 1: job(1)}
    sent = pickle.loads(pickle.dumps(task))
    assert (sent.command, sent.searching, sent.jobs) == (["-m"], True, {})
    assert set(task.jobs) == {0, 1}


def test_a_bug_is_shown_with_its_trace(capsys):
    task = SweepTask([])
    try:
        raise RuntimeError("out of luck")
    except RuntimeError as error:
        task.end(job(0), error)
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: job 0: out of luck\n")


def test_after_a_failure_no_other_starts_if_that_is_asked_for():
    task = SweepTask([])
    task.check(Plan(fail_fast=True))
    task.failed.append(2)
    task.check(Plan(fail_fast=False))
    with pytest.raises(Skipped, match=r"job 2 failed, and sweep\.fail_fast=true"):
        task.check(Plan(fail_fast=True))


@pytest.mark.parametrize(
    ("error", "line"), [(OSError(28, "No space left on device"), "note: job 1: "), (KeyError("x"), "KeyError: 'x'")]
)
def test_a_row_that_cannot_be_printed_is_no_failure_of_its_job(capsys, error, line):
    def full(job, outcome):
        raise error

    task = SweepTask([])
    task.on_end = full
    task.end(job(1), {"status": "completed"})
    assert line in capsys.readouterr().err
    assert task.failed == []


def test_a_job_that_is_not_valid_has_failed_whoever_asks(capsys):
    task, ended = SweepTask([]), []
    task.refuse(1, ["seed=x"], Path(), UserError("seed=x: expected a whole number"))
    task.on_end = lambda job, outcome: ended.append((job.number, job.words, outcome["status"], outcome["error"]))
    task.plan = Plan(fail_fast=False)
    assert task.failed == [1]
    task.refuse(2, ["seed=y"], Path("2"), UserError("seed=y: expected a whole number"))
    assert ended == [(2, ["seed=y"], "failed", "seed=y: expected a whole number")]
    assert capsys.readouterr().err.splitlines() == [
        "error: job 1: seed=x: expected a whole number",
        "error: job 2: seed=y: expected a whole number",
    ]


def test_a_worker_whose_job_was_taken_over_starts_no_other(capsys):
    task, plan = SweepTask([]), Plan(fail_fast=False)
    task.check(plan)
    task.end(job(3), Superseded("s/3 now belongs to process 12 on host, attempt 2; this older attempt stops"))
    with pytest.raises(Skipped):
        task.check(plan)
    assert "this older attempt stops" in capsys.readouterr().err
