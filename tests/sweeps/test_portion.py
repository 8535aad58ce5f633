"""What a worker does with a portion: the runs, the report, and signals."""

import contextlib
import json
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deeprob.assembly.config import TrainConfig
from deeprob.config.application import Application, started
from deeprob.running.stacked import StackedRuns
from deeprob.sweeps import portion as portions
from deeprob.sweeps.job import Job
from deeprob.sweeps.portion import STOP, Portion, Report, asked_to_stop, orphaned, work
from deeprob.tracking import checkpoint_file


@pytest.fixture
def portion(tmp_path, monkeypatch, small):
    """A portion of three jobs, to be trained in a stack in the folder ``work``."""
    (tmp_path / "work").mkdir()
    (tmp_path / "exchange").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(portions, "EVERY", 0.01)
    jobs = []
    with started(None) as hydra:
        application = Application(hydra, "train", TrainConfig)
        for seed in range(3):
            words = [*small, f"seed={seed}", "trainer.figures=[]"]
            plan = application.load(application.compose(words, multirun=False), words)
            jobs.append(Job(seed + 4, words, plan, Path("s", str(seed))))
    return Portion(tuple(jobs), True, None, ("deeprob-train",), False, tmp_path / "exchange", os.getppid())


def lines(portion: Portion) -> list[dict]:
    return [json.loads(line) for line in portion.report.read_text().splitlines()]


def weights(folder: str) -> torch.Tensor:
    model = checkpoint_file.load(Path(folder, "checkpoints/last.pt"))["model"]
    return torch.cat([value.flatten() for value in model.values()])


def test_a_worker_trains_a_stack_and_reports_each_end(portion, capsys):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # as engines start it
    outcomes = work(portion)
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    assert {number: outcome["status"] for number, outcome in outcomes.items()} == dict.fromkeys((4, 5, 6), "completed")
    for number, outcome in outcomes.items():
        summary = json.loads(Path("s", str(number - 4), "summary.json").read_text())
        assert outcome == {"status": "completed", "error": "", **summary}
    first, *news = lines(portion)
    assert first["process"] == os.getpid()
    assert {line["job"]: line["outcome"] for line in news if "job" in line} == outcomes
    assert sum(line.get("done", 0) for line in news) == pytest.approx(3)
    assert [line["best"] for line in news if "best" in line][-1].keys() == {"train/accuracy"}
    assert capsys.readouterr() == ("", "")
    assert torch.get_num_threads() == 1


def test_a_worker_gives_the_bits_of_a_run_alone(portion):
    work(portion)
    alone = replace(portion, jobs=tuple(replace(job, folder=Path("alone", str(job.number))) for job in portion.jobs))
    work(replace(alone, together=False))
    for number in (4, 5, 6):
        assert torch.equal(weights(f"s/{number - 4}"), weights(f"alone/{number}"))


def test_the_next_attempt_resumes(portion, monkeypatch):
    train = StackedRuns.train

    def cut(runs, on_progress):
        os.kill(os.getpid(), signal.SIGTERM)
        train(runs, on_progress)

    with monkeypatch.context() as patch:
        patch.setattr(StackedRuns, "train", cut)
        outcomes = work(portion)
    assert {outcome["status"] for outcome in outcomes.values()} == {"interrupted"}
    again = portion.again({5: {}})
    assert ([job.number for job in again.jobs], again.lost, again.attempt) == ([4, 6], 1, 1)
    assert again.report != portion.report
    assert {number: outcome["status"] for number, outcome in work(again).items()} == dict.fromkeys((4, 6), "completed")
    fresh = tuple(replace(job, folder=Path("fresh", str(job.number))) for job in portion.jobs)
    work(replace(portion, jobs=fresh, folder=portion.folder / "other"))
    for number in (4, 6):
        assert torch.equal(weights(f"s/{number - 4}"), weights(f"fresh/{number}"))
        assert len(json.loads(Path("s", str(number - 4), "provenance.json").read_text())["resumed"]) == 1


def test_the_file_stop_interrupts_what_trains(portion, monkeypatch):
    train = StackedRuns.train

    def stopped(runs, on_progress):
        def stop(done, metrics):
            (portion.folder / STOP).write_text(str(int(signal.SIGINT)))
            on_progress(done, metrics)
            while not portions.signals.received():
                pass

        train(runs, stop)

    monkeypatch.setattr(StackedRuns, "train", stopped)
    outcomes = work(portion)
    assert {outcome["status"] for outcome in outcomes.values()} == {"interrupted"}
    assert json.loads(Path("s/0/summary.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize("together", [True, False])
def test_what_has_not_begun_does_not_begin_after_a_stop(portion, together):
    (portion.folder / STOP).write_text("15")
    assert work(replace(portion, together=together)) == {}
    assert not Path("s").exists()


def test_a_job_that_fails_ends_alone_and_its_line_goes_to_the_report(portion, capsys):
    Path("s/0").mkdir(parents=True)
    Path("s/0/config.yaml").touch()
    outcomes = work(portion)
    assert {number: outcome["status"] for number, outcome in outcomes.items()} == {
        4: "failed", 5: "completed", 6: "completed",
    }  # fmt: skip
    (text,) = [line["text"] for line in lines(portion) if "text" in line]
    assert text == f"error: job 4: {outcomes[4]['error']}"
    assert outcomes[4]["error"] == "s/0 exists already; give another directory, or resume=auto"
    assert capsys.readouterr() == ("", "")


def test_a_bug_is_reported_with_its_trace(portion, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(portions.Stacks, "train", broken)
    with pytest.raises(ZeroDivisionError):
        work(portion)
    (text,) = [line["text"] for line in lines(portion) if "text" in line]
    assert text.startswith("Traceback")
    assert text.endswith("ZeroDivisionError: a bug")


def test_a_worker_works_where_the_sweep_does(portion, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    work(replace(portion, jobs=portion.jobs[:1], directory=str(tmp_path / "work")))
    assert (tmp_path / "work/s/0/summary.json").exists()


def test_when_to_stop(portion):
    assert asked_to_stop(portion) == 0
    assert asked_to_stop(replace(portion, parent=0)) == 0
    orphan = replace(portion, parent=os.getppid() + 1)
    assert orphaned(orphan)
    assert asked_to_stop(orphan) == signal.SIGTERM
    for text, number in (("2", 2), ("15", 15), ("", 15)):
        (portion.folder / STOP).write_text(text)
        assert asked_to_stop(portion) == number


def test_an_orphan_ends_its_process(portion, monkeypatch):
    ended = []
    monkeypatch.setattr(portions.os, "_exit", ended.append)
    work(replace(portion, parent=os.getppid() + 1))
    assert ended == [0]


def test_a_report_has_whole_lines(tmp_path):
    report = Report(tmp_path / "made" / "a.jsonl")
    with contextlib.redirect_stderr(report):
        print("note: one", file=sys.stderr)
        print("half", end="", file=sys.stderr)
        report.publish()
        print(" and half", file=sys.stderr)
    report.advance(0.5, [{"val/loss": 2.0}, {"val/loss": 1.0}])
    report.advance(0.25, [{"val/loss": 0.5}])
    report.publish()
    report.publish()
    _, *news = [json.loads(line) for line in report.path.read_text().splitlines()]
    assert news == [{"text": "note: one"}, {"text": "half and half"}, {"done": 0.75, "best": {"val/loss": 0.5}}]
