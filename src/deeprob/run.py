"""One run from its config to its files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from deeprob import config as configs
from deeprob.assembly.assembly import Experiment
from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared
from deeprob.errors import UserError, memory_errors
from deeprob.follow import Following, Outcome, follow
from deeprob.preflight import preflight
from deeprob.tracking import console
from deeprob.tracking.checkpoint_file import alike, exists, generations, load_newest
from deeprob.tracking.events import EventFile
from deeprob.tracking.files import write_whole
from deeprob.tracking.provenance import device_name, provenance
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption
from deeprob.training.checkpoint import Checkpoints
from deeprob.watch import Watch, check_figures


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


def check_files(files: RunDirectory) -> None:
    """Look at a run that is to go on, before anything is written there.

    Raises
    ------
    UserError
        Names a link, through which writing would change a file elsewhere, what is neither file nor folder and would
        never end, or what is not JSON of a run.
    """
    for path in files.path.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: no file of a run but a link, pipe or the like; remove it, or put a copy there")
    for name in ("summary", "provenance"):
        try:
            content = files.read_json(name)
        except RecursionError:
            content = {"resumed": None}
        numbers = [value for key, value in content.items() if "/" in key or key == "epochs"]
        if not isinstance(content.get("resumed", []), list) or not all(isinstance(v, int | float) for v in numbers):
            raise UserError(f"{files.path / name}.json: not JSON of a run, or damaged; correct or remove it")


def features_of(files: RunDirectory) -> dict[str, torch.Tensor] | None:
    """Return what the features of a run that goes on have learned; None of one that begins."""
    last = files.checkpoints / "last.pt"
    if not files.resume or not exists(last):
        return None
    learned = next(generations(last), {}).get("features")
    return learned if isinstance(learned, dict) else None  # what else is wrong is told when all of it is read


def complete(summary: Mapping[str, Any], config: RunConfig) -> bool:
    """Tell whether a run that left this summary has nothing more to do for a config."""
    status, epochs = summary.get("status"), summary.get("epochs", 0)
    ended = status == "stopped" or (status == "completed" and epochs >= config.trainer.epochs)
    return ended and "test/loss" in summary


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


@contextmanager
def opened(
    experiment: Experiment,
    files: RunDirectory,
    command: Sequence[str],
    *,
    alone: bool,
    first: bool = True,
    at: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[Following]:
    """Begin a run in its directory, or go on with it, and yield what takes its records.

    Parameters
    ----------
    experiment, files, command
        See `run`.
    alone
        Whether the run is no job of a sweep.
    first
        Write a checkpoint before the first update, so that whatever happens the run goes on from there.
    at
        The update from which to go on, if there is a checkpoint of it.
    interrupted
        Tells whether the run is to end soon.
    """
    config, state = experiment.config, experiment.state
    written = restore(experiment, files, at)
    if not written:
        files.discard()  # of a start that was killed before its first checkpoint
    with EventFile(files.path, written.get("events", 0)) as events:
        watch = Watch(experiment, files.path, events, alone, interrupted)

        def lengths() -> dict[str, int]:
            watch.catch_up()
            return {"metrics": files.synced_metrics_length(), "events": events.synced_length()}

        best_is_last = experiment.splits.val is None
        checkpoints = Checkpoints(files.checkpoints, state, experiment.identity(), best_is_last, lengths)
        try:
            write_whole(files.config, configs.to_yaml(config))
            origin = provenance(command, state.frozen.device, config.seed)
            files.add_provenance(origin, resumed=bool(written))
            if not written:
                watch.texts(files.config, origin)
                events.layout(without=() if experiment.splits.classes else ("accuracy",))
                events.hyperparameters(configs.flat(config))
                if first:
                    checkpoints.write()
        except OSError:
            if not written:
                files.discard()
            raise
        files.begin_again(written.get("metrics", 0))
        yield Following(experiment, files, checkpoints, events, watch)


def summarize(following: Following, outcome: Outcome) -> dict[str, Any]:
    """Write ``summary.json``, and return its content."""
    experiment, state = following.experiment, following.state
    early = outcome.status == "completed" and state.step < experiment.steps  # the optimizer had nothing more to do
    summary = {
        "status": "stopped" if early else outcome.status,
        **({"reason": state.reason} if state.reason else {}),
        "epochs": experiment.epochs_done,
        "steps": state.step,
        "evaluations": state.evaluations,
        "best_epoch": state.best.epoch or None,
        "seconds": round(outcome.seconds, 3),
        "parameters": experiment.parameters,
        "features/count": experiment.predictor.features.output_count,
        "time/features": round(experiment.prepared.seconds, 3),
        "device": device_name(state.frozen.device),
        **outcome.metrics,
    }
    following.files.write_json("summary", summary)
    return summary


def restore(experiment: Experiment, files: RunDirectory, at: int | None = None) -> dict[str, int]:
    """Become what the newest checkpoint of a run holds that goes on, or that of the update `at` if there is one.

    Returns
    -------
    dict
        The lengths that growing files had at that moment; empty when there is no checkpoint yet.

    Raises
    ------
    UserError
        When no generation can be read, or it belongs to another config or dataset.
    """
    last = files.checkpoints / "last.pt"
    if not files.resume or not exists(last):
        return {}
    content = load_newest(last)
    if at not in (None, content.get("step")):
        content = next((other for other in generations(last) if other.get("step") == at), content)
    try:
        for name, value in experiment.identity().items():
            if not same(content[name], value):
                raise UserError(f"{last}: the dataset is no longer that of the run (its {name} changed)")
        experiment.state.load_state_dict(content)
        if not 0 <= experiment.state.step <= experiment.steps:
            raise ValueError("a step outside of the run")
        lengths: dict[str, int] = content["lengths"]
        if not alike(lengths, {"metrics": 0, "events": 0}):
            raise ValueError("lengths of no files")
        return lengths
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{last}: does not belong to {files.config}") from error


def same(one: Any, other: Any) -> bool:
    """Tell whether two plain values are equal, tensors in them bit by bit."""
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one.cpu(), other.cpu())
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)
