"""A sweep, six jobs of which fail in six ways: the others end as alone, and the second call runs the six."""

import csv
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_flatten

from deeprob.running import run as running
from deeprob.tracking import checkpoint_file
from deeprob.training.update import Update

FAILING = {1: "exception", 2: "memory", 3: "nan", 4: "exit", 6: "kill", 7: "directory"}


def not_finite(update: Update) -> None:
    """Let every update fail: the sums of the runs become NaN."""
    update.stack.sums.fill_(torch.nan)


@pytest.fixture
def faults():
    """Let the jobs of some seeds fail, each in its way, until this is undone."""
    patch = pytest.MonkeyPatch()
    run, measure = running.run, Update.measure

    def sometimes(config, *words, **named):
        fault = FAILING.get(config.seed)
        if fault == "exception":
            raise RuntimeError("out of luck")
        if fault == "memory":
            torch.empty(2**60)
        if fault == "nan":
            patch.setattr(Update, "measure", lambda update, *terms: [measure(update, *terms), not_finite(update)])
        if fault == "exit":
            sys.exit(5)
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        return run(config, *words, **named)

    patch.setattr(running, "run", sometimes)
    yield patch
    patch.undo()


def rows() -> list[dict]:
    with Path("s/summary.csv").open() as file:
        return list(csv.DictReader(file))


def state(directory: str) -> list:
    content = checkpoint_file.load(Path(directory) / "checkpoints/last.pt")
    for name in ("seconds", "recorder", "metrics"):
        content.pop(name)
    return tree_flatten(content)[0]


@pytest.mark.usefixtures("finished_run")  # which has imported what each job would import
def test_what_fails_is_named_what_ends_is_as_alone_and_the_rest_is_run_again(deeprob, small, faults, times, tell):
    count = times(8, 20)
    words = ("-m", *small, f"seed=range({count})", "hydra.sweep.dir=s", "sweep.isolate=true", "resume=auto")
    Path("s").mkdir()
    Path("s/007_seed=7").write_text("in the way")

    first = deeprob(*words)
    assert first.status == 4
    assert first.err.endswith(f"error: 6 of {count} jobs failed: 1, 2, 3, 4, 6, 7\n")
    reasons = {number: row["error"] for number, row in enumerate(rows()) if row["error"]}
    expected = {
        1: "RuntimeError: out of luck",
        2: "memory",
        3: "became NaN or infinite at step 1 (epoch 1, batch 1)",
        4: "its process ended with status 5, before it was done",
        6: "its process ended by SIGKILL",
        7: "007_seed=7: File exists",
    }
    assert [number for number in expected if expected[number] not in reasons[number]] == []
    for number, reason in reasons.items():
        assert f"error: job {number}: " in first.err
        assert reason in first.out
    completed = [number for number, row in enumerate(rows()) if row["status"] == "completed"]
    assert len(completed) == count - 6

    faults.undo()
    Path("s/007_seed=7").unlink()
    before = {number: Path(f"s/{number:03}_seed={number}/summary.json").stat().st_mtime_ns for number in completed}
    second = deeprob(*words)
    assert (second.status, second.err) == (0, "")
    assert {row["status"] for row in rows()} == {"completed"}
    after = {number: Path(f"s/{number:03}_seed={number}/summary.json").stat().st_mtime_ns for number in completed}
    assert before == after

    for number in range(count):
        assert deeprob(*small, f"seed={number}", f"hydra.run.dir=alone{number}").status == 0
        alone, job = state(f"alone{number}"), state(f"s/{number:03}_seed={number}")
        pairs = zip(alone, job, strict=True)
        assert all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in pairs)
    tell(f"{count} jobs, 6 failing: {count - 6} as alone, 6 named; run again: 6 executed, {count} as alone")
