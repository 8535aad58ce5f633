"""What is done for one job of a sweep, whoever launches it."""

import pytest

from deeprob.assembly.config import RunConfig, SweepConfig
from deeprob.data import SpiralsConfig
from deeprob.errors import Diverged, Skipped, UserError
from deeprob.features import RawConfig
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, ConstantConfig
from deeprob.sweeps.task import Result, SweepTask
from deeprob.training import TrainerConfig


class Plan:
    """As much of a job's config as is asked for."""

    def __init__(self, fail_fast: bool) -> None:
        self.sweep = SweepConfig(fail_fast=fail_fast)


def test_what_failed_is_told_in_a_line_and_remembered(capsys):
    task = SweepTask(["-m", "seed=0,1"])
    task.tell(3, UserError("seed=x: expected a whole number"))
    task.tell(5, Diverged("data loss", 4, 0, 3))
    task.tell(6, PermissionError(13, "Permission denied", "somewhere"))
    assert capsys.readouterr().err.splitlines() == [
        "error: job 3: seed=x: expected a whole number",
        "error: job 5: diverged: the data loss became NaN or infinite at step 4 (epoch 1, batch 4); "
        "try a smaller optimizer.lr",
        "error: job 6: somewhere: Permission denied",
    ]
    assert task.failed == [3, 5, 6]


def test_a_bug_is_shown_with_its_trace(capsys):
    task = SweepTask([])
    try:
        raise RuntimeError("out of luck")
    except RuntimeError as error:
        task.tell(0, error)
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


def plan(monitor: str = "auto") -> RunConfig:
    return RunConfig(
        dataset=SpiralsConfig(),
        features=RawConfig(),
        model=LinearConfig(),
        loss=CrossEntropyConfig(),
        regularizer=NoneConfig(),
        optimizer=AdamWConfig(),
        scheduler=ConstantConfig(),
        trainer=TrainerConfig(monitor=monitor),
    )


def test_a_result_is_a_summary_and_the_number_that_told_its_best_epoch():
    content = {"val/accuracy": 0.75, "val/loss": 0.5}
    result = Result(content, plan())
    assert (result, float(result)) == (content, 0.75)
    assert float(Result(content, plan("val/loss"))) == 0.5


def test_a_search_needs_that_metric():
    assert Result({}, plan()) == {}
    with pytest.raises(
        UserError, match=r"a sweeper that searches needs val/accuracy; set dataset\.val_fraction=0\.1, say"
    ):
        Result({}, plan(), needed=True)
