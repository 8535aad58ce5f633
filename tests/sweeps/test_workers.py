"""What a sweep makes of the reports, the losses and the endings of its workers. The engines here need no process."""

import itertools
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deeprob.assembly.config import TrainConfig
from deeprob.config.application import Application, started
from deeprob.errors import Interrupted
from deeprob.sweeps.job import Job, Result
from deeprob.sweeps.portion import STOP, Outcomes, Portion
from deeprob.sweeps.task import SweepTask
from deeprob.sweeps.workers import Ended, Running, Workers, cause
from deeprob.tracking import console


class Lost(Exception):
    """What an engine raises if a worker was killed."""


class Handed:
    """A task whose worker has done everything at once, or was lost."""

    def __init__(self, result: Outcomes | Exception, done: bool = True) -> None:
        self.content, self.over, self.withdrawn = result, done, False

    def done(self) -> bool:
        return self.over

    def result(self) -> Outcomes:
        if isinstance(self.content, Exception):
            raise self.content
        return self.content

    def cancel(self) -> None:
        self.withdrawn = True


class Engine:
    """Calls a function with each portion, in place of a worker, and keeps the portions and the tasks."""

    def __init__(self, worker: Callable[[Portion], Outcomes]) -> None:
        self.worker, self.portions, self.tasks = worker, [], []

    def submit(self, portion: Portion) -> Handed:
        self.portions.append(portion)
        try:
            task = Handed(self.worker(portion))
        except Lost as error:
            task = Handed(error)
        self.tasks.append(task)
        return task


def completed(number: int) -> dict[str, Any]:
    return {"status": "completed", "error": "", "test/loss": 0.5, "val/accuracy": number / 100, "epochs": 3}


def all_well(portion: Portion) -> Outcomes:
    return {job.number: completed(job.number) for job in portion.jobs}


def report(portion: Portion, *lines: dict) -> None:
    portion.report.parent.mkdir(exist_ok=True)
    with portion.report.open("a") as file:
        file.write("".join(f"{json.dumps(line)}\n" for line in lines))


@pytest.fixture(scope="module")
def plan() -> TrainConfig:
    words = ["dataset.val_fraction=0.2", "trainer.epochs=3"]
    with started(None) as hydra:
        application = Application(hydra, "train", TrainConfig)
        return application.load(application.compose(words, multirun=False), words)


@pytest.fixture
def portions(plan, tmp_path):
    """Make portions of the jobs 0, 1, 2, …: portions(2, 3) has two and three."""
    (tmp_path / "exchange").mkdir()

    def make(*sizes: int, **sweep: Any) -> list[Portion]:
        config = replace(plan, sweep=replace(plan.sweep, **sweep))
        jobs = [Job(number, [f"seed={number}"], config, tmp_path / "s" / str(number)) for number in range(sum(sizes))]
        edges = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
        parts = [tuple(jobs[start:end]) for start, end in itertools.pairwise(edges)]
        return [Portion(part, True, None, ("deeprob-train",), False, tmp_path / "exchange", 0) for part in parts]

    return make


def train(engine: Engine, portions: list[Portion], count: int = 2, task: SweepTask | None = None):
    """Train portions. Return the results, and what the table was told: the number and the status of each job."""
    task, told = task or SweepTask(["deeprob-train"]), []
    task.on_end = lambda job, outcome: told.append((job.number, outcome["status"]))
    results = Workers(task, engine, count, portions[0].folder).train(portions)
    return {number: results[number]._return_value for number in sorted(results)}, told


def test_each_result_is_taken_once_whether_it_was_reported_before_or_not(portions):
    def worker(portion):
        report(portion, {"job": portion.jobs[0].number, "outcome": completed(portion.jobs[0].number)})
        return all_well(portion)

    results, told = train(Engine(worker), portions(2, 3))
    assert sorted(told) == [(number, "completed") for number in range(5)]
    assert all(isinstance(result, Result) for result in results.values())
    assert results[3]["val/accuracy"] == 0.03


def test_no_worker_has_two_portions(portions):
    engine, most = Engine(all_well), []
    original = engine.submit

    def submit(portion):
        task = original(portion)
        task.over = False
        running = [other for other in engine.tasks if not other.over]
        most.append(len(running))
        if len(running) == 2:
            running[0].over = True
        if len(engine.tasks) == 4:
            for other in engine.tasks:
                other.over = True
        return task

    engine.submit = submit
    _, told = train(engine, portions(1, 1, 1, 1), count=2)
    assert len(told) == 4
    assert max(most) == 2


def test_a_lost_portion_goes_on_with_another_worker(portions, capsys):
    def worker(portion):
        if portion.lost == 0:
            report(portion, {"job": 1, "outcome": completed(1)})
            raise Lost("killed")
        return all_well(portion)

    engine = Engine(worker)
    _, told = train(engine, portions(3), count=1)
    assert sorted(told) == [(0, "completed"), (1, "completed"), (2, "completed")]
    assert [([job.number for job in portion.jobs], portion.lost) for portion in engine.portions] == [
        ([0, 1, 2], 0), ([0, 2], 1),
    ]  # fmt: skip
    assert capsys.readouterr().err == (
        "note: the worker of jobs 0, 2 was lost (killed); going on with another one, attempt 2 of 3\n"
    )


def test_after_three_lost_workers_the_jobs_have_failed_with_the_last_cause(portions, capsys):
    causes = iter(("killed", "killed again", "out of memory"))

    def worker(portion):
        if portion.jobs[0].number == 0:
            raise Lost(next(causes))
        return all_well(portion)

    results, told = train(Engine(worker), portions(2, 1), count=1)
    assert dict(told) == {0: "failed", 1: "failed", 2: "completed"}
    assert str(results[0]) == "its worker was lost: out of memory (attempt 3 of 3)"
    assert capsys.readouterr().err.splitlines()[-2:] == [
        "error: job 0: its worker was lost: out of memory (attempt 3 of 3)",
        "error: job 1: its worker was lost: out of memory (attempt 3 of 3)",
    ]


def test_a_run_that_was_complete_when_its_worker_was_lost_is_not_done_again(portions):
    def worker(portion):
        if portion.lost == 0:
            folder = portion.jobs[0].folder
            folder.mkdir(parents=True)
            (folder / "summary.json").write_text(json.dumps({"status": "completed", "epochs": 3, "test/loss": 0.5}))
            raise Lost("killed")
        return all_well(portion)

    engine = Engine(worker)
    results, _ = train(engine, portions(2), count=1)
    assert [job.number for job in engine.portions[1].jobs] == [1]
    assert results[0]["test/loss"] == 0.5


def test_an_isolated_job_whose_worker_is_lost_has_failed_at_once(portions):
    def worker(portion):
        if portion.jobs[0].number == 0:
            raise Lost("killed")
        return all_well(portion)

    engine = Engine(worker)
    results, told = train(engine, portions(1, 1, isolate=True))
    assert len(engine.portions) == 2
    assert dict(told) == {0: "failed", 1: "completed"}
    assert str(results[0]) == "its worker was lost: killed"


def test_a_worker_that_was_interrupted_but_not_by_the_sweep_is_a_lost_one(portions, capsys):
    def worker(portion):
        if portion.lost == 0:
            return {job.number: {"status": "interrupted", "error": ""} for job in portion.jobs}
        return all_well(portion)

    _, told = train(Engine(worker), portions(2), count=1)
    assert told == [(0, "completed"), (1, "completed")]
    assert "was lost (it was interrupted); going on with another one, attempt 2 of 3" in capsys.readouterr().err


def test_a_worker_that_trained_and_saved_does_not_count_as_lost(portions):
    def worker(portion):
        if portion.attempt < 5:
            report(portion, {"done": 0.1, "best": {}})
            return {job.number: {"status": "interrupted", "error": ""} for job in portion.jobs}
        return all_well(portion)

    engine = Engine(worker)
    _, told = train(engine, portions(2), count=1)
    assert told == [(0, "completed"), (1, "completed")]
    assert [portion.lost for portion in engine.portions] == [0] * 6
    assert {job.config.resume for portion in engine.portions[1:] for job in portion.jobs} == {"auto"}


def test_errors_and_divergence_come_as_outcomes(portions, capsys):
    def worker(portion):
        report(portion, {"text": "error: job 1: diverged: at once"})
        return {
            0: completed(0),
            1: {"status": "diverged", "error": "at once", "epochs": 1},
            2: {"status": "failed", "error": "no such file"},
        }

    results, told = train(Engine(worker), portions(3))
    assert dict(told) == {0: "completed", 1: "diverged", 2: "failed"}
    assert (type(results[1]), results[1].outcome, str(results[1])) == (Ended, "diverged", "at once")
    assert capsys.readouterr().err == "error: job 1: diverged: at once\n"


def test_after_a_failure_no_further_portion_starts_with_fail_fast(portions):
    engine = Engine(lambda portion: {job.number: {"status": "failed", "error": "no"} for job in portion.jobs})
    _, told = train(engine, portions(1, 2, fail_fast=True), count=1)
    assert told == [(0, "failed"), (1, "skipped"), (2, "skipped")]
    assert len(engine.portions) == 1
    _, told = train(engine, portions_again(engine), count=1)
    assert told == [(0, "failed"), (1, "failed"), (2, "failed")]


def portions_again(engine: Engine) -> list[Portion]:
    """The same three jobs without fail_fast."""
    (first,) = engine.portions
    job = first.jobs[0]
    config = replace(job.config, sweep=replace(job.config.sweep, fail_fast=False))
    return [replace(first, jobs=(replace(job, number=number, config=config),)) for number in range(3)]


def test_a_note_of_several_workers_is_printed_once_and_other_texts_each_time(portions, capsys):
    def worker(portion):
        report(portion, {"text": "note: the same"}, {"text": "a trace\nin two lines"})
        return all_well(portion)

    task = SweepTask(["deeprob-train"])
    train(Engine(worker), portions(1, 1), task=task)
    assert capsys.readouterr().err == "note: the same\na trace\nin two lines\na trace\nin two lines\n"
    task.shared.note_once("the same")  # the sweep itself has the same remark
    assert not capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_asks_the_workers_to_stop_and_waits_for_them(portions, number):
    def worker(portion):
        os.kill(os.getpid(), number)
        return {portion.jobs[0].number: {"status": "interrupted", "error": ""}}

    engine = Engine(worker)
    original = engine.submit

    def submit(portion):
        task = original(portion)
        task.over = False
        task.cancel = lambda: setattr(task, "over", True)
        return task

    engine.submit = submit
    task, told = SweepTask([]), []
    task.on_end = lambda job, outcome: told.append((job.number, outcome["status"]))
    parts = portions(1, 1, 1)
    with pytest.raises(Interrupted) as caught:
        Workers(task, engine, 1, parts[0].folder).train(parts)
    assert caught.value.status == 128 + number
    assert (parts[0].folder / STOP).read_text() == str(int(number))
    assert told == [(0, "interrupted")]
    assert len(engine.portions) == 1


def test_a_second_signal_ends_at_once(portions):
    def worker(portion):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        return all_well(portion)

    with pytest.raises(Interrupted):
        train(Engine(worker), portions(1))


def test_a_search_without_its_metric_is_an_error_of_the_job(portions, capsys):
    outcomes = {0: {name: value for name, value in completed(0).items() if name != "val/accuracy"}, 1: completed(1)}
    task = SweepTask(["deeprob-train"], searching=True)
    results, told = train(Engine(lambda portion: outcomes), portions(2), task=task)
    assert dict(told) == {0: "failed", 1: "completed"}
    assert str(results[0]) == "a search needs val/accuracy; set dataset.val_fraction=0.1, say"
    assert task.failed == [0]
    assert capsys.readouterr().err == f"error: job 0: {results[0]}\n"
    assert float(results[1]) == 0.01


def test_the_display_counts_what_all_workers_have_done(portions, monkeypatch):
    shown = []
    monkeypatch.setattr(
        "deeprob.tracking.console.Bar.advance", lambda bar, count, remark="": shown.append((count, remark))
    )

    def worker(portion):
        report(portion, {"host": "here", "process": 1}, {"done": 0.5, "best": {"val/accuracy": 0.5}})
        return all_well(portion)

    engine = Engine(worker)
    original = engine.submit

    def submit(portion):
        task = original(portion)
        looks = iter((False, True))
        task.done = lambda: next(looks)
        return task

    engine.submit = submit
    train(engine, portions(2, 2))
    assert shown[0] == (1.0, "best now: val/accuracy 0.5")


@pytest.mark.parametrize(("count", "title"), [(1, "1 worker"), (2, "2 workers")])
def test_the_display_names_the_number_of_workers(portions, monkeypatch, count, title):
    titles = []
    original = console.Bar.__init__

    def init(bar, total, text, *others, **settings):
        titles.append(text)
        original(bar, total, text, *others, **settings)

    monkeypatch.setattr(console.Bar, "__init__", init)
    train(Engine(all_well), portions(1), count)
    assert titles == [title]


def test_a_line_that_is_being_written_waits(portions):
    (portion,) = portions(1)
    running = Running(portion, Handed({}))
    assert list(running.news()) == []
    portion.report.write_text('{"done": 1}\n{"do')
    assert list(running.news()) == [{"done": 1}]
    with portion.report.open("a") as file:
        file.write('ne": 2}\n')
    assert list(running.news()) == [{"done": 2}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A worker …\nThe exit codes of the workers are {SIGKILL(-9)}", "a process ended by SIGKILL(-9)"),
        ("no room\nmore", "no room"),
    ],
)
def test_causes(text, line):
    assert cause(RuntimeError(text)) == line
