"""The launcher: its settings, where jobs train, and that workers change no bit of a result."""

import csv
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from deeprob.assembly.config import SweepConfig
from deeprob.data import SpiralsConfig
from deeprob.errors import UserError
from deeprob.sweeps import launching
from deeprob.sweeps.engines import check_engine
from deeprob.sweeps.grouping import JobGroup
from deeprob.sweeps.job import Job
from deeprob.sweeps.launching import check_settings, may_have_workers, number_of_workers
from deeprob.sweeps.portion import Portion, work
from deeprob.sweeps.portioning import Cost
from deeprob.tracking import checkpoint_file
from deeprob.tracking.ownership import Ownership
from hydra_plugins.deeprob_launcher import StackLauncher


class Done:
    def __init__(self, outcomes) -> None:
        self.result = lambda: outcomes

    def done(self) -> bool:
        return True


class Here:
    """An engine without workers: this process does what they would do."""

    def __init__(self) -> None:
        self.started: list[tuple] = []
        self.portions: list[list[int]] = []
        self.attempts: list[int] = []

    def start(self, *arguments) -> "Here":
        self.started.append(arguments[:-1])
        return self

    def submit(self, portion: Portion) -> Done:
        self.portions.append([job.number for job in portion.jobs])
        self.attempts.append(portion.attempt)
        return Done(work(replace(portion, parent=0)))

    def __enter__(self) -> "Here":
        return self

    def __exit__(self, *error) -> None:
        self.started.append("ended")


@pytest.fixture
def here(monkeypatch) -> Here:
    engine = Here()
    monkeypatch.setattr(launching, "start", engine.start)
    return engine


def groups(count: int, *, isolate: bool = False) -> list[JobGroup]:
    plan = SimpleNamespace(sweep=SweepConfig(isolate=isolate))
    return [JobGroup([Job(number, [], plan, Path()) for number in range(count)])]


def table(directory: str = "s") -> list[dict]:
    with (Path(directory) / "summary.csv").open() as file:
        return list(csv.DictReader(file))


REFUSED = {
    "workers=0": "expected a whole number at least 1, -1 for all cores, -2 for all cores but one, or auto",
    "workers=many": "expected a whole number at least 1, -1 for all cores, -2 for all cores but one, or auto",
    "workers=1.5": "expected a whole number at least 1, -1 for all cores, -2 for all cores but one, or auto",
    "engine=threads": "expected processes, ray or submitit",
    "max_stack=0": "expected a whole number at least 1, or auto",
}
NUMBER = "workers: engine=submitit needs the number of workers; set hydra.launcher.workers=N"
INCOMPLETE = {
    "cluster=local": "cluster: only engine=ray and engine=submitit have it; set hydra.launcher.engine",
    "resources.num_gpus=1": "resources: only engine=ray and engine=submitit have it; set hydra.launcher.engine",
    "engine=submitit": NUMBER,
    "engine=submitit hydra.launcher.workers=-1": NUMBER,
}


@pytest.mark.parametrize("word", REFUSED)
def test_invalid_settings_are_one_line_before_anything_starts(deeprob, small, word):
    status, out, err = deeprob("-m", *small, "seed=0,1", f"hydra.launcher.{word}", "hydra.sweep.dir=s")
    assert (status, out, err) == (2, "", f"error: hydra.launcher.{word}: {REFUSED[word]}\n")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("words", INCOMPLETE)
def test_settings_that_do_not_fit_the_engine_are_one_line_before_anything_starts(deeprob, small, words):
    status, out, err = deeprob("-m", *small, "seed=0,1", *f"hydra.launcher.{words}".split(), "hydra.sweep.dir=s")
    assert (status, out, err) == (2, "", f"error: hydra.launcher.{INCOMPLETE[words]}\n")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize("settings", [{"max_stack": True}, {"max_stack": None}, {"workers": True}, {"workers": None}])
def test_settings_of_other_types_are_refused(settings):
    with pytest.raises(UserError, match=r"hydra\.launcher\."):
        check_settings(StackLauncher(**settings))


@pytest.mark.parametrize(("engine", "words"), [("ray", "'deeprob[ray]'"), ("submitit", "'deeprob[slurm]'")])
def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch, engine, words):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        check_engine(engine)
    assert str(caught.value) == f"hydra.launcher.engine={engine} needs {engine}: pip install {words}"


def test_workers_change_no_bit_of_a_result(deeprob, small):
    words = ("-m", *small, "optimizer=adam,lbfgs", "seed=0,1", "dataset.val_fraction=0.2")
    one = deeprob(*words, "hydra.launcher.workers=1", "hydra.sweep.dir=one")
    two = deeprob(*words, "hydra.launcher.workers=2", "hydra.sweep.dir=two")
    assert (one.status, two.status) == (0, 0)
    reason = "jobs 2, 3: trained one by one, because optimizer=lbfgs does its own line searches"
    assert two.err == one.err == f"note: {reason}\n"
    keys = ("optimizer", "seed", "status", "train/loss", "val/loss", "test/loss")
    assert [[row[key] for key in keys] for row in table("one")] == [[row[key] for key in keys] for row in table("two")]
    assert sorted(two.out.replace("two", "one").splitlines()) == sorted(one.out.splitlines())
    for path in Path("one").glob("*/checkpoints/*.pt"):
        first, second = (checkpoint_file.load(place) for place in (path, Path("two", *path.parts[1:])))
        for name in first["model"]:
            assert torch.equal(first["model"][name], second["model"][name])
        assert first["step"] == second["step"]
    assert not Path("two/.workers").exists()


def test_jobs_of_every_kind_become_portions(deeprob, small, here):
    words = ("-m", *small, "model.width=4,5", "seed=range(4)", "hydra.launcher.workers=2", "hydra.sweep.dir=s")
    words = tuple(word for word in words if word != "model.width=8")
    result = deeprob(*words)
    assert (result.status, result.err) == (0, "")
    assert sorted(here.portions) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert here.started == [("processes", 2, "auto", {}), "ended"]
    assert [row["status"] for row in table()] == ["completed"] * 8


def test_a_failed_job_fails_alone_and_the_table_has_its_row(deeprob, small, here):
    Path("s/001_seed=1").mkdir(parents=True)
    Path("s/001_seed=1/metrics.csv").touch()
    words = ("-m", *small, "seed=range(4)", "hydra.launcher.workers=2", "hydra.sweep.dir=s", "resume=auto")
    Path("s/001_seed=1/checkpoints").touch()
    result = deeprob(*words)
    assert result.status == 4
    assert [row["status"] for row in table()] == ["completed", "failed", "completed", "completed"]
    assert result.err.splitlines() == [
        f"error: job 1: {table()[1]['error']}",
        "error: 1 of 4 jobs failed: 1",
    ]


def test_workers_take_over_from_those_of_a_sweep_that_was_killed(deeprob, small, here):
    words = ("-m", *small, "seed=range(2)", "hydra.launcher.workers=2", "hydra.sweep.dir=s", "resume=auto")
    Path("s/001_seed=1").mkdir(parents=True)
    Path("s/001_seed=1/.owner").write_text("process 12 on elsewhere, attempt 4")
    with Ownership(Path("s/000_seed=0"), attempt=2):
        assert deeprob(*words).status == 0
    assert here.attempts == [3, 5]


def test_workers_that_nobody_asked_for_are_told(deeprob, small, here, monkeypatch):
    monkeypatch.setattr(launching, "number_of_workers", lambda *_: 2)
    result = deeprob("-m", *small, "seed=range(2)", "hydra.sweep.dir=s")
    line = "hydra.launcher.workers=auto: 2 worker processes (1 trains in this process)"
    assert result.err == f"note: {line}\n"
    assert here.started[0] == ("processes", 2, "auto", {})


def test_a_finished_sweep_starts_no_workers(deeprob, small, here):
    words = ("-m", *small, "seed=range(4)", "hydra.launcher.workers=2", "hydra.sweep.dir=s")
    assert deeprob(*words).status == 0
    here.started.clear()
    assert deeprob(*words, "resume=auto").status == 0
    assert here.started == []


@pytest.mark.filterwarnings("ignore:::optuna", "ignore:::hydra_plugins")
def test_a_search_hands_its_jobs_to_workers_that_stay(deeprob, small, here):
    words = (
        "-m", *small, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.direction=maximize", "optimizer.lr=interval(0.001,0.1)", "dataset.val_fraction=0.2",
        "hydra.launcher.workers=2", "hydra.sweep.dir=s",
    )  # fmt: skip
    result = deeprob(*words)
    assert (result.status, result.err) == (0, "")
    assert here.started == [("processes", 2, "auto", {}), "ended"]
    assert sorted(here.portions) == [[0], [1], [2], [3]]
    assert [row["status"] for row in table()] == ["completed"] * 4


def test_settings_of_hydra_that_need_this_process_keep_jobs_here(deeprob, small, here):
    words = ("-m", *small, "seed=0,1", "hydra.output_subdir=.hydra", "hydra.launcher.workers=2", "hydra.sweep.dir=s")
    result = deeprob(*words)
    reason = "hydra.output_subdir=.hydra stores Hydra's files of each job"
    assert result.err.splitlines()[0] == f"note: hydra.launcher.workers=2: not used, because {reason}"
    assert (result.status, here.started) == (0, [])


def test_data_and_features_are_prepared_once(deeprob, small, here, monkeypatch):
    loads, original = [], SpiralsConfig.load
    monkeypatch.setattr(SpiralsConfig, "load", lambda config: loads.append(1) or original(config))
    result = deeprob("-m", *small, "features=polar", "seed=range(8)", "hydra.launcher.workers=2", "hydra.sweep.dir=s")
    assert (result.status, result.err) == (0, "")
    assert len(here.portions) == 2
    assert loads == [1]


@pytest.mark.parametrize(
    ("workers", "cores", "expected"),
    [(1, 8, 1), (3, 8, 3), (40, 8, 20), (-1, 8, 8), (-2, 8, 7), (-9, 8, 1), (-2, 1, 1), ("auto", 4, 2), ("auto", 1, 1)],
)
def test_how_many_workers(monkeypatch, workers, cores, expected):
    monkeypatch.setattr(launching, "cores", lambda: cores)
    launcher = StackLauncher(workers=workers)
    assert number_of_workers(launcher, groups(20), [Cost(1.0, None, True)]) == expected


def test_on_a_gpu_auto_means_one_process():
    assert number_of_workers(StackLauncher(), groups(10_000), [Cost(1.0, None, True, on_gpu=True)]) == 1
    assert number_of_workers(StackLauncher(workers=2), groups(10_000), [Cost(1.0, None, True, on_gpu=True)]) == 2


def test_when_nothing_needs_to_be_measured(monkeypatch):
    assert not may_have_workers(StackLauncher(), [])
    assert not may_have_workers(StackLauncher(), groups(1))
    assert not may_have_workers(StackLauncher(workers=1), groups(9))
    assert may_have_workers(StackLauncher(workers=2), groups(9))
    assert may_have_workers(StackLauncher(workers=1, engine="ray"), groups(1))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert may_have_workers(StackLauncher(), groups(2))
    assert not may_have_workers(
        StackLauncher(), groups(2, isolate=True)
    )  # a fork after a computation would wait forever
    assert may_have_workers(StackLauncher(workers=2), groups(2, isolate=True))
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert not may_have_workers(StackLauncher(), groups(2))
