"""One run from its config to its files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from deeprob import config as configs
from deeprob.errors import Diverged, Interrupted
from deeprob.experiment import Experiment, RunConfig
from deeprob.tracking import console
from deeprob.tracking.events import EventFile
from deeprob.tracking.provenance import device_name, provenance
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption
from deeprob.training.checkpoint import Checkpoints


def run(config: RunConfig, directory: Path, command: Sequence[str] = (), report: bool = True) -> dict[str, Any]:
    """Train as a config says, and leave a complete run directory behind.

    Parameters
    ----------
    config
        What to do.
    directory
        Where the run's files go; written to once everything that can fail for a wrong input is built.
    command
        The words that started the run, for ``provenance.json``.
    report
        Show progress and a final table.

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
    experiment = Experiment.build(config)
    torch.set_num_threads(experiment.threads)
    state, splits = experiment.state, experiment.splits

    files = RunDirectory(directory)
    configs.save(config, files.config)
    files.write_json("provenance", provenance(command, state.frozen.device, config.seed))
    checkpoints = Checkpoints(files.checkpoints, state, experiment.classifier.state_dict(), splits.val is None)
    checkpoints.write()

    total = config.trainer.epochs * len(splits.train)
    with (
        named_errors(directory),
        Interruption() as interruption,
        EventFile(directory) as events,
        console.Bar(total, experiment.label, "examples", visible=report and config.trainer.progress) as bar,
    ):
        events.hyperparameters(configs.flat(config))
        began = time.perf_counter()
        outcome = follow(experiment, files, checkpoints, events, bar, interruption)
        seconds = time.perf_counter() - began
        if outcome.error is None:
            checkpoints.restore_best()
            if splits.val is not None:
                outcome.metrics |= experiment.measure("val", splits.val)
            final = experiment.measure("test", splits.test)
            events.scalars(final, state.step)
            outcome.metrics |= final
        events.finished(completed=outcome.error is None)

    summary = {
        "status": outcome.status,
        "epochs": state.step * config.trainer.epochs // experiment.steps,
        "steps": state.step,
        "evaluations": state.evaluations,
        "best_epoch": state.best.epoch or None,
        "seconds": round(seconds, 3),
        "parameters": experiment.parameters,
        "device": device_name(state.frozen.device),
        **outcome.metrics,
    }
    files.write_json("summary", summary)
    if outcome.error is not None:
        raise outcome.error
    if report:
        console.split_table(outcome.metrics)
        console.where(directory)
    return summary


@dataclass
class Outcome:
    """How training ended: a status of ``summary.json``, the last metrics, and what is to be raised, if anything."""

    status: str
    metrics: dict[str, float]
    error: Diverged | Interrupted | None = None


def follow(
    experiment: Experiment,
    files: RunDirectory,
    checkpoints: Checkpoints,
    events: EventFile,
    bar: console.Bar,
    interruption: Interruption,
) -> Outcome:
    """Train, and hand every record to TensorBoard, ``metrics.csv``, the checkpoints and the progress bar."""
    trainer, state, val_split = experiment.config.trainer, experiment.state, experiment.splits.val
    metrics: dict[str, float] = {}
    clock = time.perf_counter()
    try:
        for record in experiment.train(interruption):
            if record.metrics:
                rate = {"time/examples_per_second": record.examples / (time.perf_counter() - clock)}
                events.scalars(record.metrics | rate, record.step)
                metrics |= record.metrics | rate
            if record.epoch_metrics is not None:
                metrics |= record.epoch_metrics
                if val_split is not None:
                    validation = experiment.measure("val", val_split)
                    events.scalars(validation, record.step)
                    metrics |= validation
                    if state.observe(trainer.monitor, metrics, record.epoch):
                        checkpoints.keep_best()
                files.append_metrics({"epoch": record.epoch, "step": record.step, **metrics})
            events.flush()
            bar.advance(record.examples, console.remark(metrics))
            if trainer.patience and record.epoch_metrics and record.epoch - state.best.epoch >= trainer.patience:
                checkpoints.write()
                return Outcome("stopped", metrics)
            checkpoints.write_if_due(trainer.checkpoint_seconds)
            clock = time.perf_counter()
    except Diverged as error:
        return Outcome("diverged", metrics, error)
    checkpoints.write()
    if interruption.number is not None and state.step < experiment.steps:
        return Outcome("interrupted", metrics, Interrupted(interruption.number))
    return Outcome("completed", metrics)
