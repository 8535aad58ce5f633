"""One run from its config to its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from deeprob.assembly.assembly import Experiment
from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared
from deeprob.errors import memory_errors
from deeprob.running.preflight import preflight
from deeprob.running.recorder import follow, opened, summarize
from deeprob.running.resume import check_files, complete, features_of
from deeprob.running.watch import check_figures
from deeprob.tracking import console
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption


def run(
    config: RunConfig,
    directory: Path,
    command: Sequence[str] = (),
    job: str = "",
    shared: Shared | None = None,
    resume: bool = False,
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
    resume
        Go on from the newest checkpoint in the directory, if there is one; do nothing if the run is complete.

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
    files = RunDirectory(directory, resume)
    if resume:
        check_files(files)
    if resume and complete(summary := files.read_json("summary"), config):
        if not job:
            console.note(f"{directory} is complete already")
        report(summary, directory, job)
        return summary
    threads = torch.get_num_threads()
    try:
        with memory_errors():
            experiment = Experiment.build(config, shared, features_of(files))
        torch.set_num_threads(experiment.threads)
        check_figures(experiment, directory)
        with named_errors(directory), files:
            if config.trainer.preflight:
                preflight(experiment, directory)
            if config.trainer.preflight == "only":
                return {}
            summary = run_experiment(experiment, files, command, job)
        report(summary, directory, job)
        return summary
    finally:
        torch.set_num_threads(threads)


def report(summary: Mapping[str, Any], directory: Path, job: str) -> None:
    """Print a finished run's table, and why its optimizer stopped if it did, unless it is a sweep's."""
    if not job:
        console.split_table(summary)
        if summary.get("status") == "stopped" and "reason" in summary:
            print(f"stopped    {summary['reason']} after {summary['evaluations']} evaluations")
        console.where(directory)


def run_experiment(experiment: Experiment, files: RunDirectory, command: Sequence[str], job: str) -> dict[str, Any]:
    """Train what is built, and write the run's files (see `run`)."""
    config = experiment.config
    with (
        Interruption() as interruption,
        opened(experiment, files, command, alone=not job, interrupted=interruption) as following,
    ):
        count = len(experiment.splits.train)
        bar = console.Bar(
            config.trainer.epochs * count,
            job or experiment.label,
            "examples",
            done=experiment.epochs_done * count,
            visible=config.trainer.progress,
            lines=not job,
        )
        with bar, memory_errors(experiment.batch_size):
            outcome = follow(following, bar, interruption)
        following.close(outcome)
    summary = summarize(following, outcome)
    if outcome.error is not None:
        raise outcome.error
    following.watch.ending(summary)
    return summary
