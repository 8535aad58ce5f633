"""Training as it goes on: every record handed to TensorBoard, tables, checkpoints and the progress bar."""

import time
from dataclasses import dataclass

from deeprob.errors import Diverged, Interrupted
from deeprob.experiment import Experiment
from deeprob.tracking import console
from deeprob.tracking.events import EventFile
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption
from deeprob.training.checkpoint import Checkpoints
from deeprob.watch import Watch

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


def follow(
    experiment: Experiment,
    files: RunDirectory,
    checkpoints: Checkpoints,
    events: EventFile,
    watch: Watch,
    bar: console.Bar,
    interruption: Interruption,
) -> Outcome:
    """Train, hand every record to TensorBoard, ``metrics.csv``, checkpoints and progress bar, and measure the end.

    `watch` looks at each epoch, and is drawn before each checkpoint by whom `checkpoints` asks for lengths.
    """
    trainer, state, splits = experiment.config.trainer, experiment.state, experiment.splits
    metrics = state.metrics
    state.start_clock()
    clock = time.perf_counter()
    busy = 0.0  # seconds of the epoch that went into updates

    def out_of_patience() -> bool:
        return 0 < trainer.patience <= experiment.epochs_done - state.best.epoch

    status = "stopped" if out_of_patience() else "completed"
    if state.step == 0:
        watch.look(0)
    try:
        for record in experiment.train(interruption) if status == "completed" else ():
            busy += (seconds := time.perf_counter() - clock)
            metrics |= {EVALUATIONS: state.evaluations, SECONDS: metrics.get(SECONDS, 0.0) + seconds}
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
                watch.look(record.epoch)
                if out_of_patience():
                    status = "stopped"
            events.flush()
            bar.advance(record.examples, console.remark(metrics))
            if status == "stopped":
                break
            if experiment.checkpoint_due(record):
                checkpoints.write()
            checkpoints.write_if_due(trainer.checkpoint_minutes)
            clock = time.perf_counter()
        checkpoints.write()
        seconds = state.seconds
        if interruption.number is not None and state.step < experiment.steps and status == "completed":
            return Outcome("interrupted", metrics, seconds, Interrupted(interruption.number))
        checkpoints.restore_best()
        final = {} if splits.val is None else experiment.measure("val", splits.val)
        test = experiment.measure("test", splits.test)
        events.scalars(test, state.step)
        return Outcome(status, metrics | final | test, seconds)
    except Diverged as error:
        checkpoints.write_finite(error.step - 1)
        return Outcome("diverged", metrics, state.seconds, error)
