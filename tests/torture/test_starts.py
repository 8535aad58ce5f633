"""Many starts at once: every directory has one owner."""

import os
import re
import sys
from pathlib import Path

import pytest
import torch

from deeprob.commands.main import main


def start_all(count: int, *words: str) -> tuple[list[int], list[str]]:
    """Run a command in so many processes at the same moment; return what each ended with and said."""
    ready, go = os.pipe()
    children = []
    for number in range(count):
        child = os.fork()
        if child == 0:
            os.close(go)
            sys.stdout, sys.stderr = (Path(f".{number}.{name}").open("w") for name in ("out", "err"))  # noqa: SIM115
            torch.set_num_threads(1)
            os.read(ready, 1)  # until the other end is closed
            status = main(words)
            sys.stderr.flush()
            os._exit(status)
        children.append(child)
    os.close(ready)
    os.close(go)
    statuses = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    return statuses, [Path(f".{number}.err").read_text() for number in range(count)]


def test_of_many_starts_in_one_directory_one_runs(deeprob, small, times, tell):
    count = times(6, 50)
    statuses, errors = start_all(count, *small, "hydra.run.dir=run")
    assert sorted(statuses) == [0] + [2] * (count - 1), errors
    refusals = [error for error in errors if error]
    assert len(refusals) == count - 1
    refusal = re.compile(r"error: \S*run (is in use by .*|exists already); .*give another directory.*\n")
    assert [error for error in refusals if not refusal.fullmatch(error)] == []
    assert deeprob("run=run", command="evaluate").status == 0
    assert not list(Path("run").glob(".*"))
    tell(f"{count} starts in one directory: 1 ran, {len(refusals)} refused in one line")


def test_of_many_starts_in_a_second_each_has_a_directory(deeprob, small, times, tell):
    count = times(6, 50)
    statuses, errors = start_all(count, *small)
    assert statuses == [0] * count, errors
    runs = list(Path("outputs/spirals-mlp-adamw").iterdir())
    assert len(runs) == count
    assert all((run / "summary.json").is_file() for run in runs)
    tell(f"{count} starts with the default directory: {len(runs)} directories, each a complete run")


@pytest.mark.parametrize("times_over", [6])
def test_of_many_that_go_on_with_one_run_one_does(deeprob, small, times_over):
    assert deeprob(*small, "scheduler=constant", "hydra.run.dir=run").status == 0
    statuses, errors = start_all(times_over, "resume=run", "trainer.epochs=300")
    assert set(statuses) == {0, 2}
    others = [error for status, error in zip(statuses, errors, strict=True) if status == 2]
    assert [error for error in others if "is in use by process" not in error] == []
