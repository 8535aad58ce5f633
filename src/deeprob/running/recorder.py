"""The files of a run while it trains: checkpoints, ``summary.json``, and what its trackers write."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

from deeprob import config as configs
from deeprob.assembly.setup import Setup
from deeprob.compare.past_runs import epochs
from deeprob.config.own_parts import own_parts
from deeprob.errors import Diverged, Interrupted
from deeprob.running.falling import STILL_FALLING, point, still_falling
from deeprob.running.hyperparameters import hyperparameters
from deeprob.running.trackers import Trackers
from deeprob.running.watch import Watch
from deeprob.tracking import console
from deeprob.tracking.device import device_name
from deeprob.tracking.files import write_whole
from deeprob.tracking.metric_names import IMBALANCE
from deeprob.tracking.provenance import provenance
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption
from deeprob.training import Record
from deeprob.training.checkpoint import Checkpoints
from deeprob.training.trackers import AboutRun

SPENT = EVALUATIONS, SECONDS, RATE = "optim/evaluations", "time/seconds", "time/examples_per_second"


@dataclass
class Outcome:
    """How training ended.

    Attributes
    ----------
    status
        The status for ``summary.json``.
    metrics
        If training ended well, these are the metrics of the best checkpoint, measured again at the end. If training
        did not end well, these are the metrics of the last whole epoch.
    seconds
        The training time, including checkpoints.
    error
        The error to raise, if any.
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
    noted: set[str] | None = None,
) -> Iterator["Recorder"]:
    """Start or resume a run in its directory, and yield the recorder of the run.

    Parameters
    ----------
    setup, files
        The run and its directory.
    command
        The command that started the run.
    alone
        True if the run is not a job of a sweep.
    first
        Whether to write a checkpoint before the first update, so that the run can be resumed from its start.
    at
        The number of the update to resume from. If None, or if there is no checkpoint of this update, the run is
        resumed from its newest checkpoint.
    interrupted
        A function that returns whether the run must end soon.
    noted
        See `Trackers`.
    """
    checkpoints, stored = restored(setup, files, at)
    files.clear(all=not stored)  # a process that was killed early may have left files
    origin = provenance(command, setup.state.device, setup.config.seed)
    origin["parts"] = own_parts(setup.config.choices())
    trackers = Trackers(setup.config.trainer.trackers, setup.steps // setup.epochs, noted)
    watch = Watch(setup, files.path, trackers, alone, interrupted)
    recorder = Recorder(setup, files, trackers, watch, checkpoints)
    if stored:
        recorder.go_on(origin, stored)
    else:
        recorder.begin(origin, first)
    try:
        yield recorder
    finally:
        if files.superseded:
            trackers.discard()
        trackers.close()


def restored(setup: Setup, files: RunDirectory, at: int | None = None) -> tuple[Checkpoints, dict[str, Any]]:
    """Load the checkpoint of a run that is resumed, and wait until all processes have loaded the same.

    Returns
    -------
    Checkpoints, dict
        The checkpoints of the run, and what `Checkpoints.restore` returns. Empty if the run is not resumed.
    """
    checkpoints = Checkpoints(files.checkpoints, setup.state, setup.identity(), best_is_last=setup.splits.val is None)
    stored = checkpoints.restore(setup.steps, at) if files.resume else {}
    setup.agree()
    return checkpoints, stored


class Recorder:
    """Hands the records of a run to its trackers, and writes its checkpoints, and its summary at the end.

    If a newer attempt has taken over the directory, nothing is written, and `Superseded` is raised.

    Parameters
    ----------
    setup, files, trackers
        The run, its directory and its trackers.
    watch
        Takes snapshots of the run and draws them. Pending snapshots are drawn before a checkpoint is written.
    checkpoints
        The checkpoints of the run. Each checkpoint also stores the positions of the trackers.

    Attributes
    ----------
    stopped
        Whether the run has stopped early, because the last ``trainer.patience`` epochs brought no improvement.
    metrics
        The newest value of each metric, for the progress bar. In contrast, ``state.metrics`` has the values of the last
        whole epoch.
    """

    def __init__(
        self, setup: Setup, files: RunDirectory, trackers: Trackers, watch: Watch, checkpoints: Checkpoints
    ) -> None:
        self.setup, self.state = setup, setup.state
        self.files, self.trackers, self.watch, self.checkpoints = files, trackers, watch, checkpoints
        self.metrics = dict(setup.state.metrics)
        self.stopped = setup.out_of_patience
        self._busy = 0.0  # seconds of updates in this epoch
        self._course: list[tuple[float, float]] = []  # training loss and learning rate of each epoch

    def begin(self, origin: dict[str, Any], checkpoint: bool) -> None:
        """Write the files of a run before its first update. If writing fails, remove the files.

        Parameters
        ----------
        origin
            The content of ``provenance.json``.
        checkpoint
            Whether to write a checkpoint too.
        """
        try:
            about = self._write_config(origin)
            self.files.write_json("provenance", origin)
            if (columns := self.setup.prepared.columns_text) is not None:
                write_whole(self.files.path / "columns.json", columns.encode())
            self.trackers.begin(about)
            if checkpoint:
                self._write_checkpoint()
        except OSError:
            with suppress(OSError):
                self.trackers.close()
            self.files.clear(all=True)
            raise
        self.files.remove_summary()

    def go_on(self, origin: dict[str, Any], stored: Mapping[str, Any]) -> None:
        """Prepare the files of a resumed run.

        Parameters
        ----------
        origin
            The provenance of the resumed run, which is added to ``provenance.json``.
        stored
            What the checkpoint has for the recorder (see `Checkpoints.write`).
        """
        about = self._write_config(origin)
        self.files.add_provenance(origin)
        self.watch.looked = stored["looked"]
        self.trackers.go_on(about, stored["trackers"])
        self.files.remove_summary()
        if stored["course"] is None:  # the run is older than this entry of checkpoints
            self._course = [point(row) for row in epochs(self.files.metrics)]
        else:
            self._course = [(loss, rate) for loss, rate in stored["course"].tolist()]

    def _write_config(self, origin: Mapping[str, Any]) -> AboutRun:
        """Write ``config.yaml``, and return what the trackers are told of the run."""
        setup = self.setup
        content = configs.to_yaml(setup.config)
        write_whole(self.files.config, content)
        return AboutRun(
            name=setup.label,
            directory=self.files.path,
            config=content.decode(),
            provenance=origin,
            hyperparameters=hyperparameters(setup.config, setup.batch_size),
            classes=setup.splits.classes,
            validation=setup.splits.val is not None,
        )

    def start(self) -> None:
        """Start to measure the training time. If no update has been made yet, also take a snapshot of the run."""
        self.state.start_clock()
        if self.state.step == 0:
            self.watch.look(0)

    def follow(self, records: Iterator[Record], interruption: Interruption, bar: console.Bar) -> Outcome:
        """Write all records of a run without a stack to its files, advance the bar, and return the outcome."""
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
        """Write a record of the training loop to the files.

        Parameters
        ----------
        record
            The record.
        seconds
            The time of the updates since the previous record.

        Raises
        ------
        Diverged
            If the loss on the validation split is not finite.
        """
        self.files.check_owner()
        state = self.state
        self._busy += seconds
        state.metrics |= {EVALUATIONS: state.evaluations, SECONDS: state.metrics.get(SECONDS, 0.0) + seconds}
        if record.metrics:
            self.trackers.scalars(record.metrics | {RATE: record.examples / seconds}, record.step)
            self.metrics |= record.metrics
        if record.epoch_metrics is not None:
            self._end_of_epoch(record)
        self.trackers.flush()
        if not self.stopped:
            minutes = self.setup.config.trainer.checkpoint_minutes
            if self._checkpoint_asked(record) or self.checkpoints.due(minutes):
                self._write_checkpoint()

    def end(self, signal: int | None) -> Outcome:
        """Write the last checkpoint, measure the best checkpoint, and return the outcome.

        `signal` is the number of the signal that came; None if no signal came. If the signal ended the run early, the
        best checkpoint is not measured.
        """
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
        except Diverged as error:  # the loss of the best checkpoint is not finite
            return Outcome("diverged", self._unfinished(), seconds, Diverged(error.quantity, step))
        self.trackers.scalars({name: value for name, value in final.items() if name.startswith("test/")}, step)
        self.trackers.best(final, step)
        return Outcome("stopped" if self.stopped else "completed", metrics | spent | final, seconds)

    def diverged(self, error: Diverged) -> Outcome:
        """Keep the last finite state of a run that diverged, and return the outcome.

        - If the run diverged in an update, the training loop has already restored the last finite state. This state is
          written as a checkpoint.
        - If the validation loss was not finite, the last checkpoint is kept. A resumed run then starts from this
          checkpoint, and gets the same error again. A new checkpoint is written only if there is none yet.
        """
        self.state.metrics[EVALUATIONS] = self.state.evaluations
        self.watch.look_at_end()
        finite = all(parameter.isfinite().all() for parameter in self.state.model.parameters())
        if finite and (error.in_update or not self.checkpoints.last.exists()):
            self._write_checkpoint()
        else:
            self.watch.catch_up()
            self.files.check_owner()
            self.checkpoints.write_best()
        return Outcome("diverged", self._unfinished(), self.state.seconds, error)

    def _unfinished(self) -> dict[str, float]:
        """Return the metrics of the last whole epoch. If no epoch has ended yet, return the newest metrics."""
        return self.metrics | self.state.metrics

    def close(self, outcome: Outcome) -> None:
        """Tell the trackers how the run ended. If it ended well, show its films first."""
        if outcome.error is None:
            self.watch.films()
        self.trackers.finished(self._summary(outcome))

    def summarize(self, outcome: Outcome) -> dict[str, Any]:
        """Write ``summary.json``, and return its content."""
        summary = self._summary(outcome)
        self.files.check_owner()
        self.files.write_json("summary", summary)
        return summary

    def _summary(self, outcome: Outcome) -> dict[str, Any]:
        """Return the content of ``summary.json``."""
        setup, state = self.setup, self.state
        early = outcome.status == "completed" and state.step < setup.steps  # the optimizer could not go on
        trainer = setup.config.trainer
        waited = f"{trainer.patience_monitor} no better for {trainer.patience} epochs"
        reason = waited if self.stopped else state.reason
        return {
            "status": "stopped" if early else outcome.status,
            **({"reason": reason} if reason else {}),
            **({STILL_FALLING: True} if outcome.status == "completed" and still_falling(self._course) else {}),
            "epochs": setup.epochs_done,
            "steps": state.step,
            "evaluations": state.evaluations,
            "best_epoch": state.best.epoch or None,
            "seconds": round(outcome.seconds, 3),
            "parameters": setup.parameters,
            **{f"examples/{name}": size for name, size in setup.sizes.items()},
            "features/count": setup.predictor.features.output_count,
            "time/features": round(setup.prepared.seconds, 3),
            **({} if setup.imbalance is None else {IMBALANCE: round(setup.imbalance, 3)}),
            "device": device_name(state.device),
            **outcome.metrics,
        }

    def _write_checkpoint(self) -> None:
        """Draw pending snapshots, and write a checkpoint with all that a resumed run needs to go on from here."""
        self.watch.catch_up()
        self.files.check_owner()
        course = torch.tensor(self._course, dtype=torch.float64).reshape(len(self._course), 2)
        self.checkpoints.write({"trackers": self.trackers.positions(), "looked": self.watch.looked, "course": course})

    def _end_of_epoch(self, record: Record) -> None:
        state = self.state
        metrics, best = self.setup.end_epoch(record)
        self.trackers.scalars({name: value for name, value in metrics.items() if name.startswith("val/")}, record.step)
        state.metrics |= metrics | {RATE: len(self.setup.splits.train) / self._busy}
        self._busy = 0.0
        self.metrics |= state.metrics
        if best:
            self.checkpoints.keep_best()
        self.trackers.epoch({"epoch": record.epoch, "step": record.step, **state.metrics})
        self._course.append(point(state.metrics))
        self.watch.look(record.epoch)
        self.stopped = self.setup.out_of_patience

    def _checkpoint_asked(self, record: Record) -> bool:
        """Return whether the config requires a checkpoint after this record."""
        trainer = self.setup.config.trainer
        steps, epochs = trainer.checkpoint_steps, trainer.checkpoint_epochs
        by_epoch = epochs > 0 and record.epoch_metrics is not None and record.epoch % epochs == 0
        return by_epoch or (steps > 0 and record.step % steps == 0)
