"""Going on with a run: what may change, what is refused, and that the rest is as if it had never stopped."""

import csv
import json
import shlex
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deeprob.config.overrides import parse
from deeprob.running.resume import print_resume
from deeprob.tracking import checkpoint_file
from deeprob.tracking.signals import Interruption
from deeprob.training import checkpoint

CONSTANT = ("scheduler=constant", "trainer.log_every=2")


def last(directory: str) -> dict:
    return checkpoint_file.load(Path(directory) / "checkpoints/last.pt")


def same_weights(one: str, other: str) -> bool:
    a, b = last(one)["model"], last(other)["model"]
    return all(torch.equal(a[name], b[name]) for name in a)


def table(directory: str) -> list[dict]:
    with (Path(directory) / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in csv.DictReader(file)]


def curves(directory: str) -> dict:
    events = EventAccumulator(directory)
    events.Reload()
    tags = [tag for tag in events.Tags()["scalars"] if not tag.startswith("time/")]
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in tags}


@pytest.fixture
def interrupted(deeprob, small, monkeypatch, tmp_path) -> tuple[str, ...]:
    """Words of a run that was interrupted in ``run`` after 5 of its updates, in the middle of its second epoch."""
    calls = []

    def fifth(interruption: Interruption) -> bool:
        calls.append(1)
        if len(calls) == 5:
            interruption.number = signal.SIGINT
        return len(calls) == 5

    words = (*small, *CONSTANT, "dataset.val_fraction=0.2")
    with monkeypatch.context() as patched:
        patched.setattr(Interruption, "__call__", fifth)
        result = deeprob(*words, "hydra.run.dir=run")
    assert (result.status, result.err) == (130, "error: interrupted by SIGINT\n")
    assert json.loads(Path("run/summary.json").read_text())["status"] == "interrupted"
    assert last("run")["step"] == 5
    return words


def without_times(summary: dict) -> dict:
    return {name: value for name, value in summary.items() if name != "seconds" and not name.startswith("time/")}


@pytest.mark.parametrize("how", ["directory", "auto"])
def test_a_run_goes_on_as_if_it_had_not_stopped(deeprob, interrupted, how):
    assert deeprob(*interrupted, "hydra.run.dir=whole").status == 0
    words = ("resume=run",) if how == "directory" else (*interrupted, "hydra.run.dir=run", "resume=auto")
    assert deeprob(*words).status == 0
    assert same_weights("run", "whole")
    assert table("run") == table("whole")
    assert curves("run") == curves("whole")
    assert len(list(Path("run").glob("events.out.tfevents.*"))) == 1
    one, other = (json.loads(Path(d, "summary.json").read_text()) for d in ("run", "whole"))
    assert without_times(one) == without_times(other)
    provenance = json.loads(Path("run/provenance.json").read_text())
    assert "hydra.run.dir=run" in provenance["command"]
    assert "resume" in provenance["resumed"][0]["command"]


def test_auto_starts_afresh_in_an_empty_directory_and_is_content_with_a_complete_run(deeprob, small):
    words = (*small, "hydra.run.dir=run", "resume=auto")
    assert deeprob(*words).status == 0
    before = Path("run/summary.json").read_text()
    again = deeprob(*words)
    assert again.status == 0
    assert again.err == f"note: {Path('run').resolve()} is complete already\n"
    assert "test" in again.out
    assert Path("run/summary.json").read_text() == before


def test_auto_takes_only_what_is_given(deeprob, small):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    assert deeprob("hydra.run.dir=run", "resume=auto").status == 0


def test_more_epochs(deeprob, small):
    assert deeprob(*small, *CONSTANT, "hydra.run.dir=run").status == 0
    assert deeprob("resume=run", "trainer.epochs=5").status == 0
    assert deeprob(*small, *CONSTANT, "trainer.epochs=5", "hydra.run.dir=whole").status == 0
    assert same_weights("run", "whole")
    assert [row["epoch"] for row in table("run")] == ["1", "2", "3", "4", "5"]
    assert "epochs: 5" in Path("run/config.yaml").read_text()
    assert json.loads(Path("run/summary.json").read_text())["epochs"] == 5


REFUSED = {
    "resume=run optimizer.lr=0.1": "optimizer.lr=0.1 (was 0.001): cannot change when the run in run is resumed; only",
    "resume=run seed=1 model.width=9": "error: model.width=9 (was 8), seed=1 (was 0): cannot change",
    "resume=run model=linear": "error: model=linear: the run in run has model=mlp; start a new run to change it",
    "resume=run trainer.epochs=9": "error: trainer.epochs=9: scheduler=cosine depends on the 3 epochs",
    "resume=run optimizer.lrr=1": "error: optimizer.lrr: no such key in optimizer; did you mean lr?",
    "resume=run optimizer.lr=fast": "error: optimizer.lr=fast: expected a number greater than 0",
    "resume=run trainer.epochs=0": "error: trainer.epochs=0: expected a whole number at least 1",
    "resume=run trainer.progress=2": "error: trainer.progress=2: expected true or false",
    "resume=run +foo=1": "error: foo: no such key",
    "resume=run hydra.run.dir=x": "error: hydra.run.dir=x: cannot be combined with resume=run",
    "resume=run seed=1,2": "error: seed=1,2: cannot be combined with resume=run",
    "-m resume=run seed=1,2": "error: resume=run: this run is resumed without -m; to resume a sweep, give"
    " the directory of the sweep",
    "resume=nowhere": "error: resume=nowhere: no run there (no config.yaml); expected a directory",
    "resume=auto hydra.run.dir=run seed=3": "seed=3 (was 0): cannot change when the run in",
    "resume=auto hydra.run.dir=run experiment=twenty_lines": "cannot change when the run in",
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_may_not_change_is_refused_key_by_key(deeprob, small, words):
    assert deeprob(*small, "hydra.run.dir=run").status == 0
    before = {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")}
    status, out, err = deeprob(*words.split(" "))
    assert (status, out) == (2, "")
    assert REFUSED[words] in err
    assert err.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in Path.cwd().rglob("*")} == before


def test_a_run_killed_before_its_first_checkpoint_starts_afresh(deeprob, interrupted):
    assert deeprob(*interrupted, "hydra.run.dir=whole").status == 0
    for path in Path("run/checkpoints").iterdir():
        path.unlink()
    assert deeprob("resume=run").status == 0
    assert same_weights("run", "whole")
    assert table("run") == table("whole")
    assert curves("run") == curves("whole")


def test_another_dataset_under_the_same_name_is_refused(deeprob, pictures):
    words = ("dataset=image_folder", f"dataset.root={pictures}", "model=linear", *CONSTANT, "trainer.epochs=2")
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    next((pictures / "train/cats").iterdir()).unlink()
    status, _, err = deeprob("resume=run", "trainer.epochs=3")
    assert status == 2
    assert "the dataset has changed since the run began (its examples)" in err


def test_early_stopping_goes_on_where_it_was(deeprob, small):
    words = (
        *small,
        *CONSTANT,
        "dataset.val_fraction=0.4",
        "optimizer.lr=0.3",
        "trainer.epochs=200",
        "trainer.patience=4",
    )
    assert deeprob(*words, "hydra.run.dir=run").status == 0
    Path("run/summary.json").unlink()  # as if killed between the last checkpoint and the summary
    steps = last("run")["step"]
    assert deeprob("resume=run").status == 0
    assert json.loads(Path("run/summary.json").read_text())["status"] == "stopped"
    assert last("run")["step"] == steps


@pytest.mark.parametrize("interval", ["trainer.checkpoint_steps=2", "trainer.checkpoint_epochs=1"])
def test_intervals_of_checkpoints(deeprob, small, monkeypatch, interval):
    steps = []
    write = checkpoint.Checkpoints.write

    def counted(checkpoints, lengths):
        steps.append(checkpoints.state.step)
        write(checkpoints, lengths)

    monkeypatch.setattr(checkpoint.Checkpoints, "write", counted)
    assert deeprob(*small, interval).status == 0
    assert steps == ([0, 2, 4, 6, 8, 9] if "steps" in interval else [0, 3, 6, 9, 9])


def test_a_checkpoint_in_the_middle_of_an_interval_changes_nothing(deeprob, small):
    assert deeprob(*small, *CONSTANT, "hydra.run.dir=a").status == 0
    assert deeprob(*small, *CONSTANT, "trainer.checkpoint_steps=1", "hydra.run.dir=b").status == 0
    assert same_weights("a", "b")
    assert curves("a") == curves("b")


@pytest.mark.parametrize("name", ["run", "a run", 'a "run"', "a\\", "it's", "x=1,y", "$x", "[x]"])
def test_the_command_that_resumes_names_the_directory(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    print_resume(tmp_path / name)
    *_, word = shlex.split(capsys.readouterr().out)
    (override,) = parse([word])
    assert (override.key_or_group, override.value()) == ("resume", name)


def test_a_run_older_than_the_formulas_goes_on_with_autograd_to_the_bit(deeprob, small):
    words = (*small, "scheduler=constant", "trainer.gradient=autograd")
    assert deeprob(*words, "trainer.epochs=4", "hydra.run.dir=whole").status == 0
    assert deeprob(*words, "trainer.epochs=2", "hydra.run.dir=old").status == 0
    config = Path("old/config.yaml")
    config.write_text(config.read_text().replace("  gradient: autograd\n", ""))
    assert "gradient" not in config.read_text()
    assert deeprob("resume=old", "trainer.epochs=4").err == ""
    assert "  gradient: autograd\n" in config.read_text()
    assert same_weights("whole", "old")
    assert deeprob(*small, "scheduler=constant", "trainer.epochs=4", "hydra.run.dir=formulas").status == 0
    assert not same_weights("whole", "formulas")


def test_another_way_to_compute_gradients_is_told_on_resuming(deeprob, small):
    assert deeprob(*small, "scheduler=constant", "hydra.run.dir=run").status == 0
    resumed = deeprob("resume=run", "trainer.epochs=5", "trainer.gradient=autograd")
    assert resumed.status == 0
    assert resumed.err.startswith("note: trainer.gradient=autograd (was formulas): from here on, numbers are rounded")
    assert "  gradient: autograd\n" in Path("run/config.yaml").read_text()
