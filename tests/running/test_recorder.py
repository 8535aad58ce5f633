"""The files of a run while it trains."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch

from deeprob import load_run
from deeprob.assembly.setup import Setup
from deeprob.errors import Diverged, Superseded
from deeprob.running import recorder as module
from deeprob.running.recorder import Recorder, recording
from deeprob.tracking import checkpoint_file
from deeprob.tracking.run_dir import RunDirectory
from deeprob.training import Record


@pytest.fixture
def setup(one_run) -> Setup:
    """What was built for a small run: 72 points to train on, 18 to validate, 3 updates an epoch, 3 epochs."""
    return Setup.build(load_run(one_run).config)


def begun(setup: Setup, folder: Path, **words):
    """Begin a run in a folder, or go on with it; use it with ``with``."""
    files = RunDirectory(folder, resume=(folder / "config.yaml").exists())
    return files, recording(setup, files, ["deeprob-train"], alone=False, **words)


def record(step: int, accuracy: float = 0.5) -> Record:
    """A record at the end of an epoch."""
    metrics = {"train/loss": 1.0, "train/accuracy": accuracy}
    return Record(step, step // 3, metrics, 32, metrics)


def advanced(recorder: Recorder, step: int) -> Record:
    recorder.state.step = step
    return record(step)


def test_a_run_begins_with_a_checkpoint_and_goes_on_from_the_next(setup, tmp_path):
    files, session = begun(setup, tmp_path / "run")
    with files, session as recorder:
        assert checkpoint_file.load(files.checkpoints / "last.pt")["step"] == 0
        recorder.start()
        recorder.take(advanced(recorder, 3), 0.1)
        recorder.end(signal=15)
        recorder.take(advanced(recorder, 6), 0.1)  # after the last checkpoint: as if the process died here
    assert len(files.metrics.read_text().splitlines()) == 3
    files, session = begun(setup, tmp_path / "run")
    with files, session as recorder:
        assert recorder.state.step == 3
        assert len(files.metrics.read_text().splitlines()) == 2  # the row of epoch 2 comes again
        assert len(json.loads((files.path / "provenance.json").read_text())["resumed"]) == 1


def test_a_start_that_fails_leaves_nothing(setup, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(module, "write_whole", full)
    files, session = begun(setup, tmp_path / "run")
    with files, pytest.raises(OSError, match="No space left"):
        session.__enter__()
    assert list((tmp_path / "run").iterdir()) == []


def test_without_a_first_checkpoint_there_is_none(setup, tmp_path):
    files, session = begun(setup, tmp_path / "run", first=False)
    with files, session:
        assert not files.checkpoints.exists()
        assert files.config.exists()


def test_a_run_stops_when_it_has_waited_long_enough(setup, tmp_path):
    setup.config.trainer.patience, setup.config.trainer.epochs = 2, 9
    object.__setattr__(setup, "steps", 27)
    files, session = begun(setup, tmp_path / "run")
    with files, session as recorder:
        recorder.start()
        stopped = []
        for epoch in (1, 2, 3):  # the weights stay, so the first epoch is the best
            recorder.take(advanced(recorder, 3 * epoch), 0.1)
            stopped.append(recorder.stopped)
        assert stopped == [False, False, True]
        assert recorder.end(None).status == "stopped"


def test_a_checkpoint_that_is_asked_for_and_due_is_written_once(setup, tmp_path, monkeypatch):
    setup.config.trainer.checkpoint_epochs = 1
    files, session = begun(setup, tmp_path / "run")
    with files, session as recorder:
        recorder.start()
        written = []
        write = recorder.checkpoints.write
        monkeypatch.setattr(recorder.checkpoints, "write", lambda needed: (written.append(needed), write(needed)))
        monkeypatch.setattr(recorder.checkpoints, "due", lambda minutes: not written)
        recorder.take(advanced(recorder, 3), 0.1)
    assert len(written) == 1
    assert written[0]["trackers"]["csv"] == {"length": files.metrics.stat().st_size}
    assert written[0]["course"].tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("finite", [True, False])
def test_a_diverged_run_keeps_its_last_finite_state(setup, tmp_path, finite):
    files, session = begun(setup, tmp_path / "run")
    with files, session as recorder:
        recorder.start()
        recorder.state.step = 4
        if not finite:
            with torch.no_grad():
                next(recorder.state.model.parameters()).fill_(torch.inf)
        outcome = recorder.diverged(Diverged("data loss", 5, 1, 1))
        assert (outcome.status, outcome.error.step) == ("diverged", 5)
    assert checkpoint_file.load(files.checkpoints / "last.pt")["step"] == (4 if finite else 0)


WRITES = {
    "a record": lambda recorder: recorder.take(advanced(recorder, 6), 0.1),
    "a checkpoint": lambda recorder: recorder.end(signal=15),
    "the end": lambda recorder: recorder.end(None),
    "the summary": lambda recorder: recorder.summarize(module.Outcome("completed", {}, 1.0)),
    "divergence": lambda recorder: recorder.diverged(Diverged("data loss", 5, 1, 1)),
    "divergence of the validation loss": lambda recorder: recorder.diverged(Diverged("val/loss", 3)),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("finished", [False, True])
def test_a_run_that_was_taken_over_writes_nothing_more(setup, tmp_path, write, finished):
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}

    files, session = begun(setup, tmp_path / "run")
    newer = RunDirectory(tmp_path / "run", resume=True, attempt=1)
    with files, session as recorder:
        recorder.start()
        recorder.take(advanced(recorder, 3), 0.1)
        recorder.trackers.epoch({"epoch": 2})  # waits to be written
        recorder.trackers.scalars({"train/loss": 1.0}, 6)
        newer.__enter__()
        if finished:
            newer.__exit__(None, None, None)
        before = content()
        with pytest.raises(Superseded, match="now belongs to"):
            write(recorder)
    assert content() == before
    newer.__exit__(None, None, None)


def test_a_run_that_was_taken_over_writes_nothing_when_it_ends_before_it_notices(setup, tmp_path):
    files, session = begun(setup, tmp_path / "run")
    with files, session as recorder:
        recorder.trackers.epoch({"epoch": 1})
        recorder.trackers.flush()
        recorder.trackers.epoch({"epoch": 2})  # waits to be written
        recorder.trackers.scalars({"train/loss": 1.0}, 6)
        with RunDirectory(tmp_path / "run", resume=True, attempt=1):
            sizes = {path: path.stat().st_size for path in (tmp_path / "run").glob("[!.]*")}
    assert {path: path.stat().st_size for path in (tmp_path / "run").glob("[!.]*")} == sizes
