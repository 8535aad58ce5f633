"""What becomes of a job: a summary, or the error that ended it."""

import pytest

from deeprob.assembly.config import RunConfig
from deeprob.data import SpiralsConfig
from deeprob.errors import Diverged, Interrupted, Skipped, UserError
from deeprob.features import RawConfig
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, ConstantConfig
from deeprob.sweeps.job import Result, outcome
from deeprob.training import TrainerConfig


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
    with pytest.raises(UserError, match=r"a search needs val/accuracy; set dataset\.val_fraction=0\.1, say"):
        Result({}, plan(), needed=True)


@pytest.mark.parametrize(
    ("ending", "status", "error"),
    [
        ({"status": "stopped", "test/loss": 0.5}, "stopped", ""),
        (UserError("seed=x: expected a whole number"), "failed", "seed=x: expected a whole number"),
        (
            Diverged("data loss", 4),
            "diverged",
            "the data loss became NaN or infinite at step 4; try a smaller optimizer.lr",
        ),
        (Skipped("job 0 failed"), "skipped", "job 0 failed"),
        (Interrupted(2), "interrupted", ""),
        (RuntimeError("one\ntwo"), "failed", "one"),
    ],
)
def test_an_outcome_has_a_status_and_a_line(ending, status, error):
    found = outcome(ending)
    assert (found["status"], found["error"]) == (status, error)
    assert found.get("test/loss") == (0.5 if isinstance(ending, dict) else None)
