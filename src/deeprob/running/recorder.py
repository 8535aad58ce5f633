"""Training as it goes on: every record handed to TensorBoard, tables, checkpoints and the progress bar."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deeprob import config as configs
from deeprob.assembly.assembly import Experiment
from deeprob.errors import Diverged, Interrupted
from deeprob.running.resume import restore
from deeprob.running.watch import Watch
from deeprob.tracking import console
from deeprob.tracking.events import EventFile
from deeprob.tracking.files import write_whole
from deeprob.tracking.provenance import device_name, provenance
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption
from deeprob.training import Record
from deeprob.training.checkpoint import Checkpoints

EVALUATIONS, SECONDS, RATE = "optim/evaluations", "time/seconds", "time/examples_per_second"


@dataclass
class Outcome:
    """How training ended.

    Attributes
    ----------
    status
        That of ``summary.json``.
    metrics
        The last of each; val and test of the best checkpoint, if training ended well.
    seconds
        How long training took, checkpoints included.
    error
        What is to be raised, if anything.
    """

    status: str
    metrics: dict[str, float]
    seconds: float
    error: Diverged | Interrupted | None = None


class Following:
    """What is done with each record of a run: TensorBoard, ``metrics.csv``, checkpoints, and the measures of its end.

    Parameters
    ----------
    experiment, files, checkpoints, events
        The run, and where it is told.
    watch
        Looks at each epoch, and is drawn before each checkpoint by whom `checkpoints` asks for lengths.

    Attributes
    ----------
    stopped
        Whether the run has waited long enough for a better epoch.
    metrics
        The last of each.
    """

    def __init__(
        self, experiment: Experiment, files: RunDirectory, checkpoints: Checkpoints, events: EventFile, watch: Watch
    ) -> None:
        self.experiment, self.state = experiment, experiment.state
        self.files, self.checkpoints, self.events, self.watch = files, checkpoints, events, watch
        self.metrics = experiment.state.metrics
        self.stopped = self._out_of_patience()
        self._busy = 0.0  # seconds of the epoch that went into updates
        self.state.start_clock()
        if self.state.step == 0:
            watch.look(0)

    def take(self, record: Record, seconds: float) -> None:
        """Take what the loop yields.

        Parameters
        ----------
        record
            The record.
        seconds
            How long its updates took.

        Raises
        ------
        Diverged
            When the loss on the validation split is not finite.
        """
        metrics, state, trainer = self.metrics, self.state, self.experiment.config.trainer
        self._busy += seconds
        metrics |= {EVALUATIONS: state.evaluations, SECONDS: metrics.get(SECONDS, 0.0) + seconds}
        if record.metrics:
            self.events.scalars(record.metrics | {RATE: record.examples / seconds}, record.step)
            metrics |= record.metrics
        if record.epoch_metrics is not None:
            self._end_of_epoch(record, record.epoch_metrics)
        self.events.flush()
        if not self.stopped:
            if self.experiment.checkpoint_due(record):
                self.checkpoints.write()
            self.checkpoints.write_if_due(trainer.checkpoint_minutes)

    def _end_of_epoch(self, record: Record, measured: dict[str, float]) -> None:
        metrics, splits = self.metrics, self.experiment.splits
        metrics |= measured | {RATE: len(splits.train) / self._busy}
        self._busy = 0.0
        if splits.val is None:
            self.state.schedule.observe(metrics["train/loss"])
        else:
            validation = self.experiment.measure("val", splits.val, record.validation)
            self.events.scalars(validation, record.step)
            metrics |= validation
            self.state.schedule.observe(metrics["val/loss"])
            if self.state.observe(self.experiment.config.trainer.monitor, metrics, record.epoch):
                self.checkpoints.keep_best()
        self.files.append_metrics({"epoch": record.epoch, "step": record.step, **metrics})
        self.watch.look(record.epoch)
        self.stopped = self._out_of_patience()

    def _out_of_patience(self) -> bool:
        return 0 < self.experiment.config.trainer.patience <= self.experiment.epochs_done - self.state.best.epoch

    def end(self, signal: int | None) -> Outcome:
        """Write the last checkpoint, and measure the best weights unless a signal cut the run short.

        Raises
        ------
        Diverged
            When the loss on a split is not finite.
        """
        self.checkpoints.write()
        seconds = self.state.seconds
        if signal is not None and self.state.step < self.experiment.steps and not self.stopped:
            return Outcome("interrupted", self.metrics, seconds, Interrupted(signal))
        self.checkpoints.restore_best()
        splits = self.experiment.splits
        final = {} if splits.val is None else self.experiment.measure("val", splits.val)
        test = self.experiment.measure("test", splits.test)
        self.events.scalars(test, self.state.step)
        return Outcome("stopped" if self.stopped else "completed", self.metrics | final | test, seconds)

    def diverged(self, error: Diverged) -> Outcome:
        """Keep the last finite state."""
        self.checkpoints.write_finite(error.step - 1)
        return Outcome("diverged", self.metrics, self.state.seconds, error)

    def close(self, outcome: Outcome) -> None:
        """Tell TensorBoard how the run ended."""
        if outcome.error is None:
            self.watch.films()
        self.events.finished(completed=outcome.error is None)


def follow(following: Following, bar: console.Bar, interruption: Interruption) -> Outcome:
    """Train a run alone, hand every record on, and show it on a bar."""
    experiment = following.experiment
    clock = time.perf_counter()
    try:
        for record in experiment.train(interruption) if not following.stopped else ():
            following.take(record, time.perf_counter() - clock)
            bar.advance(record.examples, console.progress_remark(following.metrics))
            if following.stopped:
                break
            clock = time.perf_counter()
        return following.end(interruption.number)
    except Diverged as error:
        return following.diverged(error)


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
