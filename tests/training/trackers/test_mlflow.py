"""What MLflow's own client reads back."""

import math
import os
import shutil
import warnings
from pathlib import Path

import pytest

from deeprob.config.one_option import chosen
from deeprob.errors import UserError
from deeprob.running.recorder import Recorder
from deeprob.training.trackers import MLflowConfig
from deeprob.training.trackers.mlflow import ENVIRONMENT, alone, key_of

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def client(tmp_path, monkeypatch):
    """MLflow's client for the folder ``mlruns``, which trackers of the default settings use."""
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def build():
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=(tmp_path / "mlruns").as_uri())

    return build


def only_run(client):
    (experiment,) = [one for one in client.search_experiments() if one.name != "Default"]
    (run,) = client.search_runs([experiment.experiment_id])
    return experiment, run


def points(client, run, key: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, key)]


@pytest.mark.slow
def test_a_run_has_parameters_curves_artifacts_and_a_status(about, client):
    tracker = MLflowConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5, "val/recall/a, (b)": 0.25}, 3, 1)
    tracker.scalars({"train/loss": math.nan}, 6, 2)
    tracker.image("figures/decision_boundary", PNG, 6)
    tracker.best({"test/accuracy": 0.75}, 3)
    tracker.finished({"status": "stopped"})
    tracker.close()
    experiment, run = only_run(client())
    assert (experiment.name, run.info.run_name, run.info.status) == ("spirals-mlp-adamw", "run", "FINISHED")
    assert run.data.params == {"model": "mlp", "optimizer.lr": "0.5", "optimizer.amsgrad": "False"}
    (first, second) = points(client(), run, "train/loss")
    assert (first, second[0], math.isnan(second[1])) == ((3, 0.5), 6, True)
    assert points(client(), run, "val/recall/a_ _b_") == [(3, 0.25)]
    assert points(client(), run, "best/test/accuracy") == [(3, 0.75)]
    artifacts = Path(run.info.artifact_uri.removeprefix("file://"))
    assert (artifacts / "config.yaml").read_text() == "seed: 3\n"
    assert (artifacts / "provenance.json").exists()
    assert (artifacts / "figures/decision_boundary/000006.png").read_bytes() == PNG


@pytest.mark.parametrize(
    ("status", "expected"),
    [("completed", "FINISHED"), ("interrupted", "KILLED"), ("diverged", "FAILED"), (None, "FAILED")],
)
@pytest.mark.slow
def test_the_status_is_that_of_the_run(about, client, status, expected):
    tracker = MLflowConfig().build()
    tracker.begin(about())
    assert only_run(client())[1].info.status == "RUNNING"
    if status:
        tracker.finished({"status": status})
    tracker.close()
    assert only_run(client())[1].info.status == expected


@pytest.mark.slow
def test_a_resumed_run_has_each_point_once(about, client):
    tracker = MLflowConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5}, 3, 1)
    position = tracker.position()
    tracker.scalars({"train/loss": 0.25}, 6, 2)  # after the checkpoint
    tracker.finished({"status": "interrupted"})
    tracker.close()
    later = MLflowConfig().build()
    later.go_on(about(), position)
    assert only_run(client())[1].info.status == "RUNNING"
    later.scalars({"train/loss": 0.25}, 6, 2)
    later.scalars({"train/loss": 0.125, "val/loss": 1.0}, 9, 3)
    later.position()
    later.scalars({"val/loss": 0.5}, 12, 4)
    later.finished({"status": "completed"})
    later.close()
    _, run = only_run(client())
    assert points(client(), run, "train/loss") == [(3, 0.5), (6, 0.25), (9, 0.125)]
    assert points(client(), run, "val/loss") == [(9, 1.0), (12, 0.5)]
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_what_is_discarded_is_left_to_the_next_process(about, client):
    tracker = MLflowConfig().build()
    tracker.begin(about())
    tracker.scalars({"train/loss": 0.5}, 3, 1)
    tracker.discard()
    _, run = only_run(client())
    assert (run.info.status, run.data.metrics) == ("RUNNING", {})


@pytest.mark.slow
def test_many_parameters_and_points_are_written_in_parts(about, client):
    tracker = MLflowConfig(folder="other/runs").build()
    tracker.begin(about(hyperparameters={f"key.{n}": "x" * 9000 for n in range(250)}))
    for step in range(1100):
        tracker.scalars({"train/loss": float(step)}, step, 1)
    tracker.close()
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=Path("other/runs").absolute().as_uri())
    _, run = only_run(client)
    assert (len(run.data.params), len(run.data.params["key.9"])) == (250, 6000)
    assert points(client, run, "train/loss") == [(step, float(step)) for step in range(1100)]


def test_keys_that_mlflow_refuses_are_changed():
    assert [key_of(tag) for tag in ("val/recall/é_1", "a,b/c", "a/../b", "a//b", "/a")] == [
        "val/recall/é_1", "a_b/c", "a/_/b", "a/_/b", "_/a",
    ]  # fmt: skip


def test_the_environment_and_the_filters_of_warnings_are_as_before(monkeypatch):
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    before, filters = dict(os.environ), list(warnings.filters)
    with alone():
        warnings.simplefilter("ignore")
        assert ENVIRONMENT.items() <= os.environ.items()
    assert (dict(os.environ), warnings.filters) == (before, filters)


def test_without_mlflow_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr("deeprob.training.trackers.mlflow.find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        chosen("tracker", "mlflow", "trainer.trackers")
    assert str(caught.value) == ('trainer.trackers: mlflow: mlflow is not installed: pip install "deeprob[mlflow]"')


WORDS = "trainer.trackers=[csv,mlflow]"


@pytest.mark.slow
def test_runs_of_the_command_line_alone_in_a_stack_and_on_workers(deeprob, small, monkeypatch):
    pytest.importorskip("mlflow")
    assert deeprob(*small, WORDS, "trainer.figures=[decision_boundary]", "hydra.run.dir=run").status == 0
    assert deeprob("-m", *small, WORDS, "seed=range(6)", "hydra.sweep.dir=s").status == 0
    assert (
        deeprob(
            "-m", *small, WORDS, "optimizer=sgd", "seed=0,1,2,3", "hydra.launcher.workers=2", "hydra.sweep.dir=w"
        ).status
        == 0
    )
    import mlflow

    assert mlflow.active_run() is None
    assert not set(ENVIRONMENT) & set(os.environ)
    with alone():
        client = mlflow.MlflowClient(tracking_uri=Path("mlruns").absolute().as_uri())
        runs = {
            experiment.name: client.search_runs([experiment.experiment_id])
            for experiment in client.search_experiments()
            if experiment.name != "Default"
        }
        assert {name: len(found) for name, found in runs.items()} == {"spirals-mlp-adamw": 7, "spirals-mlp-sgd": 4}
        for run in (*runs["spirals-mlp-adamw"], *runs["spirals-mlp-sgd"]):
            assert run.info.status == "FINISHED"
            assert [point.step for point in client.get_metric_history(run.info.run_id, "train/loss")] == [3, 6, 9]
            assert "best/test/accuracy" in run.data.metrics
        (alone_,) = [run for run in runs["spirals-mlp-adamw"] if run.info.run_name == "run"]
        assert [part.path for part in client.list_artifacts(alone_.info.run_id, "figures/decision_boundary")] == [
            "figures/decision_boundary/000009.png"
        ]


@pytest.mark.slow
def test_a_folder_that_cannot_be_made_costs_a_note(deeprob, small):
    pytest.importorskip("mlflow")
    Path("file").write_text("")
    words = "trainer.trackers=[csv,'mlflow folder=/proc/runs','mlflow folder=file/runs']"
    status, _, err = deeprob(*small, words, "hydra.run.dir=run")
    assert (status, err.count(" failed, and is left out from here on: ")) == (0, 2)


@pytest.mark.slow
def test_a_folder_that_goes_away_costs_a_note(deeprob, small, monkeypatch):
    pytest.importorskip("mlflow")
    begin = Recorder.start
    monkeypatch.setattr(Recorder, "start", lambda self: (shutil.rmtree("mlruns"), begin(self)))
    status, _, err = deeprob(*small, WORDS, "hydra.run.dir=run")
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith("note: trainer.trackers: mlflow failed, and is left out from here on: ")
