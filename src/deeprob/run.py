"""One run from its config to its files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deeprob import config as configs
from deeprob.errors import Diverged, Interrupted, memory_errors
from deeprob.experiment import Experiment, RunConfig
from deeprob.tracking import console
from deeprob.tracking.events import EventFile
from deeprob.tracking.provenance import device_name, provenance
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption
from deeprob.training import Shared
from deeprob.training.checkpoint import Checkpoints


def run(
    config: RunConfig, directory: Path, command: Sequence[str] = (), job: str = "", shared: Shared | None = None
) -> dict[str, Any]:
    """Train as a config says, and leave a complete run directory behind.

    Parameters
    ----------
    config
        What to do.
    directory
        Where the run's files go; written to once everything that can fail for a wrong input is built.
    command
        The words that started the run, for ``provenance.json``.
    job
        What a sweep calls the run; then no table is shown at its end, and progress only on a terminal.
    shared
        What the run has in common with others of this process.

    Returns
    -------
    dict
        The content of ``summary.json``.

    Raises
    ------
    UserError
        Before anything is written.
    Diverged, Interrupted
        After ``summary.json`` is written.
    """
    config = config.resolved()
    threads = torch.get_num_threads()
    try:
        with memory_errors():
            experiment = Experiment.build(config, shared)
        torch.set_num_threads(experiment.threads)
        with named_errors(directory):
            return run_experiment(experiment, directory, command, job)
    finally:
        torch.set_num_threads(threads)


def run_experiment(experiment: Experiment, directory: Path, command: Sequence[str], job: str) -> dict[str, Any]:
    """Train what is built, and write the run's files (see `run`)."""
    config, state = experiment.config, experiment.state
    files = RunDirectory(directory)
    checkpoints = Checkpoints(
        files.checkpoints, state, experiment.predictor.state_dict(), best_is_last=experiment.splits.val is None
    )
    try:
        configs.save(config, files.config)
        files.write_json("provenance", provenance(command, state.frozen.device, config.seed))
        checkpoints.write()
    except OSError:
        files.discard()
        raise

    total = config.trainer.epochs * len(experiment.splits.train)
    with (
        Interruption() as interruption,
        EventFile(directory) as events,
        console.Bar(total, job or experiment.label, "examples", visible=config.trainer.progress, lines=not job) as bar,
    ):
        events.layout(without=() if experiment.splits.classes else ("accuracy",))
        events.hyperparameters(configs.flat(config))
        began = time.perf_counter()
        with memory_errors():
            outcome = follow(experiment, files, checkpoints, events, bar, interruption)
        events.finished(completed=outcome.error is None)

    summary = {
        "status": outcome.status,
        "epochs": state.step * config.trainer.epochs // experiment.steps,
        "steps": state.step,
        "evaluations": state.evaluations,
        "best_epoch": state.best.epoch or None,
        "seconds": round(outcome.ended - began, 3),
        "parameters": experiment.parameters,
        "device": device_name(state.frozen.device),
        **outcome.metrics,
    }
    files.write_json("summary", summary)
    if outcome.error is not None:
        raise outcome.error
    if not job:
        console.split_table(outcome.metrics)
        console.where(directory)
    return summary


@dataclass
class Outcome:
    """How training ended.

    Attributes
    ----------
    status
        That of ``summary.json``.
    metrics
        The last of each; val and test of the best checkpoint, if training ended well.
    ended
        When the last update and checkpoint were done, by `time.perf_counter`.
    error
        What is to be raised, if anything.
    """

    status: str
    metrics: dict[str, float]
    ended: float
    error: Diverged | Interrupted | None = None


def follow(
    experiment: Experiment,
    files: RunDirectory,
    checkpoints: Checkpoints,
    events: EventFile,
    bar: console.Bar,
    interruption: Interruption,
) -> Outcome:
    """Train, hand every record to TensorBoard, ``metrics.csv``, checkpoints and progress bar, and measure the end."""
    trainer, state, splits = experiment.config.trainer, experiment.state, experiment.splits
    metrics: dict[str, float] = {}
    status = "completed"
    clock = time.perf_counter()
    busy = 0.0  # seconds of the epoch that went into updates
    try:
        for record in experiment.train(interruption):
            busy += (seconds := time.perf_counter() - clock)
            if record.metrics:
                events.scalars(record.metrics | {RATE: record.examples / seconds}, record.step)
                metrics |= record.metrics
            if record.epoch_metrics is not None:
                metrics |= record.epoch_metrics | {RATE: len(splits.train) / busy}
                busy = 0.0
                if splits.val is None:
                    state.schedule.observe(metrics["train/loss"])
                else:
                    validation = experiment.measure("val", splits.val)
                    events.scalars(validation, record.step)
                    metrics |= validation
                    state.schedule.observe(metrics["val/loss"])
                    if state.observe(trainer.monitor, metrics, record.epoch):
                        checkpoints.keep_best()
                files.append_metrics({"epoch": record.epoch, "step": record.step, **metrics})
                if trainer.patience and record.epoch - state.best.epoch >= trainer.patience:
                    status = "stopped"
            events.flush()
            bar.advance(record.examples, console.remark(metrics))
            if status == "stopped":
                break
            checkpoints.write_if_due(trainer.checkpoint_seconds)
            clock = time.perf_counter()
        checkpoints.write()
        ended = time.perf_counter()
        if interruption.number is not None and state.step < experiment.steps and status == "completed":
            return Outcome("interrupted", metrics, ended, Interrupted(interruption.number))
        checkpoints.restore_best()
        final = {} if splits.val is None else experiment.measure("val", splits.val)
        test = experiment.measure("test", splits.test)
        events.scalars(test, state.step)
        return Outcome(status, metrics | final | test, ended)
    except Diverged as error:
        checkpoints.write_finite(error.step - 1)
        return Outcome("diverged", metrics, time.perf_counter(), error)


RATE = "time/examples_per_second"
