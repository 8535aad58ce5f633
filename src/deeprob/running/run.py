"""Train one run from its config, and write its files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.assembly.prepare import Shared
from deeprob.assembly.setup import Setup
from deeprob.config.failures import failing_in_training
from deeprob.config.own_modules import import_words
from deeprob.errors import Diverged, Interrupted, memory_errors
from deeprob.running.falling import ADVICE, STILL_FALLING
from deeprob.running.follower import follow
from deeprob.running.preflight import preflight
from deeprob.running.recorder import Outcome, Recorder, recording
from deeprob.running.resume import begun, complete_summary, learned_features, print_resume, resumed
from deeprob.running.trackers import check_trackers
from deeprob.running.watch import check_figures
from deeprob.tracking import console
from deeprob.tracking.device import threads
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption
from deeprob.training import TrainerConfig
from deeprob.training.ranks import Ranks

CHECKED = "checked"
"""The status of a run that was only checked, not trained."""


def run(
    config: RunConfig,
    directory: Path,
    command: Sequence[str] = (),
    job: str = "",
    shared: Shared | None = None,
    resume: bool = False,
    attempt: int = 0,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Train a run, and write the files in its directory.

    Parameters
    ----------
    config
        The config of the run.
    directory
        The directory of the run.
    command
        The command that started the run, for ``provenance.json``.
    job
        The name of the run in a sweep; empty outside a sweep. In a sweep, no table is printed at the end, and progress
        is shown only on a terminal.
    shared
        Data and features that several runs of this process share.
    resume
        Whether to resume from the newest checkpoint in the directory, if there is one. If the run is complete, it is
        not trained again.
    attempt
        See `deeprob.tracking.ownership.Ownership`. If a newer attempt takes over the directory, this run stops.
    ranks
        The processes that train the run together. None: this process trains without others. Only rank 0 writes files.

    Returns
    -------
    dict
        The content of ``summary.json``. With ``trainer.preflight=only`` no file is written, and the dictionary has the
        status `CHECKED`. In a process that is not rank 0, the dictionary is empty.

    Raises
    ------
    UserError
        If the config or the directory is invalid. The error is raised before anything is written.
    Diverged, Interrupted
        If training ends early. The error is raised after ``summary.json`` is written.
    Superseded
        If a newer attempt has taken over the directory. Nothing more is written there.
    """
    files, trainer = RunDirectory(directory, resume, attempt), config.resolved().trainer
    check_trackers(trainer.trackers, directory)
    summary = complete_summary(files, config.trainer.epochs) if resume else None
    if summary is None:
        with failing_in_training(config), memory_errors():
            setup = build_setup(config.resolved(), shared, files, ranks or Ranks())
        trainer = setup.config.trainer
        if setup.ranks.rank:
            if setup.config.trainer.preflight != "only":
                follow(setup, files)
            return {}
        check_figures(setup, directory)
        with failing_in_training(config), named_errors(directory), files:
            try:
                summary = run_setup(setup, files, command, job)
            except (Diverged, Interrupted) as error:
                if not job:
                    report_early_end(error, setup, files)
                raise
    elif not job:
        console.note(f"{directory} is complete already")
    if not job and summary["status"] != CHECKED:
        report(summary, trainer, directory)
    return summary


def run_or_go_on(
    config: TrainConfig,
    directory: Path,
    words: Sequence[str],
    command: Sequence[str],
    job: str = "",
    shared: Shared | None = None,
    attempt: int = 0,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Train a run. If ``resume=auto`` and a run has begun in the directory, resume this run instead.

    Parameters
    ----------
    words
        The overrides from which the config was made. If a run is resumed, they are applied to the config of that run.
    config, directory, command, job, shared, attempt, ranks
        See `run`.
    """
    resume, plan = config.resume == "auto", config.run
    if resume and begun(directory):
        plan = resumed(directory, words, plan)
    return run(plan, directory, command, job, shared, resume, attempt, ranks)


def build_setup(config: RunConfig, shared: Shared | None, files: RunDirectory, ranks: Ranks) -> Setup:
    """Build the parts of a run. On each machine, one process is first, so that the others find its caches."""
    if ranks.local:
        ranks.exchange(None)
    setup = Setup.build(config, shared, learned_features(files), ranks)
    if not ranks.local:
        ranks.exchange(None)
    return setup


def run_setup(setup: Setup, files: RunDirectory, command: Sequence[str], job: str) -> dict[str, Any]:
    """Train a run from its setup, and return its summary (see `run`). If the config says so, check the run first."""
    with threads(setup.threads):
        if setup.config.trainer.preflight:
            preflight(setup, files.path)
        if setup.config.trainer.preflight == "only":
            return {"status": CHECKED}
        with Interruption(shared=setup.ranks.count > 1) as interruption:
            setup.ranks.interruption = interruption
            with recording(
                setup, files, command, alone=not job, interrupted=lambda: interruption.received is not None
            ) as recorder:
                outcome = train_alone(recorder, interruption, job)
                recorder.close(outcome)
        summary = recorder.summarize(outcome)
        if outcome.error is None:
            recorder.watch.draw_ending(summary)
        setup.ranks.exchange(None)  # the others wait: when one process fails, torchrun ends all
        if outcome.error is not None:
            raise outcome.error
    return summary


def train_alone(recorder: Recorder, interruption: Interruption, job: str) -> Outcome:
    """Train a run that is not in a stack, show a progress bar, and return the outcome."""
    setup = recorder.setup
    count = len(setup.splits.train)
    bar = console.Bar(
        setup.epochs * count,
        job or setup.label,
        "examples",
        done=setup.epochs_done * count,
        visible=setup.config.trainer.progress,
        lines=not job,
        epochs=setup.epochs,
    )
    with bar, memory_errors(setup.batch_size):
        return recorder.follow(setup.train(interruption), interruption, bar)


def report_early_end(error: Diverged | Interrupted, setup: Setup, files: RunDirectory) -> None:
    """Print the directory of a run that ended early. If it was interrupted, also print the command to resume it."""
    if files.read_json("summary").get("status") == Interrupted.outcome:  # after a second signal nothing is saved
        print(f"epoch {setup.epochs_done} of {setup.epochs}; interrupted, and saved")
    print(f"run        {console.near(files.path)}")
    if isinstance(error, Interrupted):
        print_resume(files.path)


def report(summary: Mapping[str, Any], trainer: TrainerConfig, directory: Path) -> None:
    """Print how a finished run ended: its epoch, the reason why it stopped, its metrics and its directory."""
    print(of_epoch(summary, trainer))
    console.split_table(summary)
    if summary.get(STILL_FALLING):
        console.note(f"trainer.epochs={trainer.epochs}: {ADVICE}")
    console.print_run(directory, figures if (figures := directory / "figures").is_dir() else None, import_words())


def of_epoch(summary: Mapping[str, Any], trainer: TrainerConfig) -> str:
    """Return a text such as ``epoch 16 of 30, the best by val/accuracy; stopped: val/loss no better for 5 epochs``."""
    best = summary.get("best_epoch")
    chosen = f", the best by {trainer.monitor}" if best else ""
    reason = f": {summary['reason']}" if summary["status"] == "stopped" and "reason" in summary else ""
    if summary.get("evaluations", 0) > summary.get("steps", 0):
        reason += f" after {summary['evaluations']} evaluations"
    return f"epoch {best or summary.get('epochs')} of {trainer.epochs}{chosen}; {summary['status']}{reason}"
