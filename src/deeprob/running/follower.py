"""Train beside rank 0: make the same updates, and write no files."""

from deeprob.assembly.setup import Setup
from deeprob.errors import Diverged, Interrupted, memory_errors
from deeprob.running.recorder import restored
from deeprob.tracking.device import threads
from deeprob.tracking.run_dir import RunDirectory
from deeprob.tracking.signals import Interruption


def follow(setup: Setup, files: RunDirectory) -> None:
    """Train a run in a process that is not rank 0. It stops after the same update as rank 0, and waits for its end.

    Raises
    ------
    Diverged, Interrupted
        If training ends early.
    """
    with threads(setup.threads), Interruption(shared=True) as interruption, memory_errors(setup.batch_size):
        setup.ranks.interruption = interruption
        restored(setup, files)
        error = train_beside(setup, interruption)
        setup.ranks.exchange(None)
        if error is not None:
            raise error


def train_beside(setup: Setup, interruption: Interruption) -> Diverged | Interrupted | None:
    """Make the updates of a run. Return the error if training ends early."""
    try:
        for record in setup.train(interruption) if not setup.out_of_patience else ():
            if record.epoch_metrics is not None:
                setup.end_epoch(record)
            if setup.out_of_patience:
                return None
    except Diverged as error:
        return error
    if interruption.number is not None and setup.state.step < setup.steps:
        return Interrupted(interruption.number)
    return None
