"""A run's files while it trains: every record goes to TensorBoard, tables, checkpoints and the progress bar."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from deeprob import config as configs
from deeprob.assembly.setup import Setup
from deeprob.errors import Diverged, Interrupted
from deeprob.running.hyperparameters import hyperparameters
from deeprob.running.watch import Watch
from deeprob.tracking import console
from deeprob.tracking.device import device_name
from deeprob.tracking.events import EventFile
from deeprob.tracking.files import write_whole
from deeprob.tracking.provenance import provenance
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption
from deeprob.training import Record
from deeprob.training.checkpoint import Checkpoints

SPENT = EVALUATIONS, SECONDS, RATE = "optim/evaluations", "time/seconds", "time/examples_per_second"


@dataclass
class Outcome:
    """How training ended.

    Attributes
    ----------
    status
        That of ``summary.json``.
    metrics
        Of the best checkpoint, with its weights at rest; if training did not end well, those of the last whole epoch.
    seconds
        How long training took, checkpoints included.
    error
        What is to be raised, if anything.
    """

    status: str
    metrics: dict[str, float]
    seconds: float
    error: Diverged | Interrupted | None = None


@contextmanager
def recording(
    setup: Setup,
    files: RunDirectory,
    command: Sequence[str],
    *,
    alone: bool,
    first: bool = True,
    at: int | None = None,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator["Recorder"]:
    """Begin a run in its directory, or go on with it, and yield what takes its records.

    Parameters
    ----------
    setup, files, command
        The run, its directory, and the words that started it.
    alone
        Whether the run is no job of a sweep.
    first
        Write a checkpoint before the first update, so that whatever happens the run goes on from there.
    at
        The update from which to go on, if there is a checkpoint of it.
    interrupted
        Tells whether the run is to end soon.
    """
    constant = setup.identity()
    checkpoints = Checkpoints(files.checkpoints, setup.state, constant, best_is_last=setup.splits.val is None)
    lengths = checkpoints.restore(setup.steps, at) if files.resume else {}
    files.clear(all=not lengths)  # what a start left that was killed before its first checkpoint
    with EventFile(files.path, lengths.get("events", 0)) as events:
        origin = provenance(command, setup.state.frozen.device, setup.config.seed)
        watch = Watch(setup, files.path, events, alone, interrupted)
        recorder = Recorder(setup, files, events, watch, checkpoints)
        if lengths:
            watch.looked = lengths["looked"]
            recorder.go_on(origin, lengths["metrics"])
        else:
            recorder.begin(origin, first)
        yield recorder


class Recorder:
    """Owns the files of a run: takes its records, and writes how it ended.

    Parameters
    ----------
    setup, files, events
        The run, its directory and its event file.
    watch
        Takes a snapshot of the run now and then; what is pending is drawn before a checkpoint is written.
    checkpoints
        Written with the lengths that the other files have at that moment.

    Attributes
    ----------
    stopped
        Whether the run has waited long enough for a better epoch.
    metrics
        The last of each, which people watch; those of `state` are of whole epochs.
    """

    def __init__(
        self, setup: Setup, files: RunDirectory, events: EventFile, watch: Watch, checkpoints: Checkpoints
    ) -> None:
        self.setup, self.state = setup, setup.state
        self.files, self.events, self.watch, self.checkpoints = files, events, watch, checkpoints
        self.metrics = dict(setup.state.metrics)
        self.stopped = self._out_of_patience()
        self._busy = 0.0  # seconds of the epoch that went into updates

    def begin(self, origin: dict[str, Any], checkpoint: bool) -> None:
        """Write what a run has before its first update, with a checkpoint or without; if that fails, nothing stays."""
        try:
            self._write_config()
            self.files.write_json("provenance", origin)
            self.watch.texts(self.files.config, origin)
            self.events.layout(without=() if self.setup.splits.classes else ("accuracy",))
            self.events.hyperparameters(hyperparameters(self.setup.config, self.setup.batch_size))
            if checkpoint:
                self._write_checkpoint()
        except OSError:
            self.files.clear(all=True)
            raise
        self.files.begin_again(0)

    def go_on(self, origin: dict[str, Any], metrics: int) -> None:
        """Add where this session comes from to the files of a run whose ``metrics.csv`` had so many bytes."""
        self._write_config()
        self.files.add_provenance(origin)
        self.files.begin_again(metrics)

    def start(self) -> None:
        """Let training begin: its time counts from now on, and its first picture is that of the start."""
        self.state.start_clock()
        if self.state.step == 0:
            self.watch.look(0)

    def follow(self, records: Iterator[Record], interruption: Interruption, bar: console.Bar) -> Outcome:
        """Take all records of a run that trains alone, show them on a bar, and return how it ended."""
        self.start()
        clock = time.perf_counter()
        try:
            for record in records if not self.stopped else ():
                self.take(record, time.perf_counter() - clock)
                bar.advance(record.examples, console.progress_remark(self.metrics))
                if self.stopped:
                    break
                clock = time.perf_counter()
            return self.end(interruption.number)
        except Diverged as error:
            return self.diverged(error)

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
        state = self.state
        self._busy += seconds
        state.metrics |= {EVALUATIONS: state.evaluations, SECONDS: state.metrics.get(SECONDS, 0.0) + seconds}
        if record.metrics:
            self.events.scalars(record.metrics | {RATE: record.examples / seconds}, record.step)
            self.metrics |= record.metrics
        if record.epoch_metrics is not None:
            self._end_of_epoch(record, record.epoch_metrics)
        self.events.flush()
        if not self.stopped:
            minutes = self.setup.config.trainer.checkpoint_minutes
            if self._checkpoint_asked(record) or self.checkpoints.due(minutes):
                self._write_checkpoint()

    def end(self, signal: int | None) -> Outcome:
        """Write the last checkpoint, and measure the best one unless a signal cut the run short."""
        cut_short = signal is not None and self.state.step < self.setup.steps and not self.stopped
        if not cut_short:
            self.watch.look_at_end()
        self._write_checkpoint()
        seconds = self.state.seconds
        if signal is not None and cut_short:
            return Outcome("interrupted", self._unfinished(), seconds, Interrupted(signal))
        spent = {name: self.state.metrics[name] for name in SPENT if name in self.state.metrics}
        step, metrics = self.checkpoints.restore_best()
        try:
            final = self.setup.measure_all()
        except Diverged as error:  # of the best weights; the last checkpoint is written already
            return Outcome("diverged", self._unfinished(), seconds, Diverged(error.quantity, step))
        self.events.scalars({name: value for name, value in final.items() if name.startswith("test/")}, step)
        self.events.best(final, step)
        return Outcome("stopped" if self.stopped else "completed", metrics | spent | final, seconds)

    def diverged(self, error: Diverged) -> Outcome:
        """Keep the last finite state, which the loop has gone back to.

        What the validation split shows leaves the checkpoint before, so that a run that goes on shows it again.
        """
        self.state.metrics[EVALUATIONS] = self.state.evaluations
        self.watch.look_at_end()
        finite = all(parameter.isfinite().all() for parameter in self.state.model.parameters())
        if finite and (error.in_update or not self.checkpoints.last.exists()):
            self._write_checkpoint()
        else:
            self.watch.catch_up()
            self.checkpoints.write_best()
        return Outcome("diverged", self._unfinished(), self.state.seconds, error)

    def _unfinished(self) -> dict[str, float]:
        """Return the metrics of the last whole epoch, or before there is one those of the last reading."""
        return self.metrics | self.state.metrics

    def close(self, outcome: Outcome) -> None:
        """Write into TensorBoard's file how the run ended."""
        if outcome.error is None:
            self.watch.films()
        self.events.finished(completed=outcome.error is None)

    def summarize(self, outcome: Outcome) -> dict[str, Any]:
        """Write ``summary.json``, and return its content."""
        setup, state = self.setup, self.state
        early = outcome.status == "completed" and state.step < setup.steps  # the optimizer had nothing more to do
        trainer = setup.config.trainer
        waited = f"{trainer.patience_monitor} no better for {trainer.patience} epochs"
        reason = waited if self.stopped else state.reason
        summary = {
            "status": "stopped" if early else outcome.status,
            **({"reason": reason} if reason else {}),
            "epochs": setup.epochs_done,
            "steps": state.step,
            "evaluations": state.evaluations,
            "best_epoch": state.best.epoch or None,
            "seconds": round(outcome.seconds, 3),
            "parameters": setup.parameters,
            "features/count": setup.predictor.features.output_count,
            "time/features": round(setup.prepared.seconds, 3),
            "device": device_name(state.frozen.device),
            **outcome.metrics,
        }
        self.files.write_json("summary", summary)
        return summary

    def _write_config(self) -> None:
        write_whole(self.files.config, configs.to_yaml(self.setup.config))

    def _write_checkpoint(self) -> None:
        self.checkpoints.write(self._synced_lengths())

    def _synced_lengths(self) -> dict[str, int]:
        """Return how far the files that grow have got, once all that a checkpoint speaks of is on the disk."""
        self.watch.catch_up()
        metrics, events = self.files.synced_metrics_length(), self.events.synced_length()
        return {"metrics": metrics, "events": events, "looked": self.watch.looked}

    def _end_of_epoch(self, record: Record, measured: dict[str, float]) -> None:
        splits, state, trainer = self.setup.splits, self.state, self.setup.config.trainer
        metrics = measured | {RATE: len(splits.train) / self._busy}
        self._busy = 0.0
        if splits.val is not None:
            validation = self.setup.measure("val", splits.val, record.validation)
            self.events.scalars(validation, record.step)
            metrics |= validation
        state.metrics |= metrics
        self.metrics |= state.metrics
        state.schedule.observe(metrics["train/loss" if splits.val is None else "val/loss"])
        if splits.val is not None and state.observe(trainer.monitor, trainer.patience_monitor, metrics, record.epoch):
            self.checkpoints.keep_best()
        self.files.append_metrics({"epoch": record.epoch, "step": record.step, **state.metrics})
        self.watch.look(record.epoch)
        self.stopped = self._out_of_patience()

    def _checkpoint_asked(self, record: Record) -> bool:
        """Tell whether the config asks for a checkpoint after so many updates or epochs."""
        trainer = self.setup.config.trainer
        steps, epochs = trainer.checkpoint_steps, trainer.checkpoint_epochs
        by_epoch = epochs > 0 and record.epoch_metrics is not None and record.epoch % epochs == 0
        return by_epoch or (steps > 0 and record.step % steps == 0)

    def _out_of_patience(self) -> bool:
        return 0 < self.setup.config.trainer.patience <= self.setup.epochs_done - self.state.improved.epoch
