"""Train several runs together, as a stack. Each run writes the same files as a run that trains alone."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deeprob.assembly.setup import Setup
from deeprob.config.failures import failing_in_training
from deeprob.errors import DeeprobError, Diverged, Interrupted, memory_errors
from deeprob.running.recorder import Outcome, Recorder, recording
from deeprob.tracking.checkpoint_file import generations
from deeprob.tracking.device import threads
from deeprob.tracking.files import synced_together
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption
from deeprob.training import Record
from deeprob.training.loop import Readings, train

Ending = dict[str, Any] | BaseException
"""The content of a run's ``summary.json``, or the error that ended it."""
OnProgress = Callable[[float, Sequence[Mapping[str, float]]], None]
"""A function that shows progress. It takes the progress since the previous call, and the newest metrics of each run.

Progress is counted in runs: 0.5 means half of the updates of one run.
"""


@dataclass
class StackedRuns:
    """Runs that train together. They have the same structure (see `deeprob.sweeps.grouping.structure`).

    Parameters
    ----------
    setups
        The setup of each run.
    directories
        The directory of each run.
    command
        The command that started the sweep.
    resume
        Whether to resume runs whose directories have files already.
    attempt
        See `deeprob.tracking.ownership.Ownership`.

    Attributes
    ----------
    endings
        The summary or the error of each run that has ended. The key is the index of the run in `setups`.
    """

    setups: Sequence[Setup]
    directories: Sequence[Path]
    command: Sequence[str]
    resume: bool = False
    attempt: int = 0
    endings: dict[int, Ending] = field(default_factory=dict)
    _open: dict[int, tuple[ExitStack, Recorder]] = field(default_factory=dict)
    _noted: set[str] = field(default_factory=set)

    def train(self, on_progress: OnProgress) -> None:
        """Train all runs, and store the summary or the error of each run in `endings`.

        Parameters
        ----------
        on_progress
            See `OnProgress`.

        Raises
        ------
        Interrupted
            If a signal came. The error is raised after every unfinished run has written a checkpoint and a summary.
        """
        try:
            with threads(self.setups[0].threads), Interruption() as interruption:
                with synced_together(self._not_on_disk):
                    self._begin(interruption)
                for places in self._by_step():
                    self._follow(places, interruption, on_progress)
            if interruption.number is not None and self._cut_short:
                raise Interrupted(interruption.number)
        finally:
            for place, (resources, _) in self._open.items():
                before = self.endings.get(place)
                with self._failing(place):
                    resources.close()
                if before is not None:
                    self.endings[place] = before

    @property
    def _cut_short(self) -> bool:
        return any(isinstance(ending, Interrupted) for ending in self.endings.values())

    def _begin(self, interruption: Interruption) -> None:
        """Open the files of all runs, and start their recorders."""
        at = common_step(
            [directory / "checkpoints" / "last.pt" for directory in self.directories] if self.resume else []
        )
        for place, (setup, directory) in enumerate(zip(self.setups, self.directories, strict=True)):
            with self._failing(place), ExitStack() as resources:
                files = RunDirectory(directory, self.resume, self.attempt)
                resources.enter_context(files)
                recorder = resources.enter_context(
                    recording(
                        setup,
                        files,
                        self.command,
                        alone=False,
                        first=False,
                        at=at,
                        interrupted=interruption,
                        noted=self._noted,
                    )
                )
                recorder.start()
                self._open[place] = resources.pop_all(), recorder

    def _by_step(self) -> list[list[int]]:
        """End the runs that stopped early. Group the others by number of updates, and return their indices."""
        steps: dict[int, list[int]] = {}
        for place, (_, recorder) in self._open.items():
            if recorder.stopped:
                self._end(place, recorder.end(None))
            else:
                steps.setdefault(recorder.state.step, []).append(place)
        return list(steps.values())

    def _follow(
        self,
        places: Sequence[int],
        interruption: Interruption,
        on_progress: OnProgress,
    ) -> None:
        """Train the runs with the indices `places`, write their records, and end them."""
        recorders = [self._open[place][1] for place in places]
        clock = time.perf_counter()
        step, share = recorders[0].state.step, 1 / self.setups[0].steps
        for readings in self._trained(places, interruption):
            now = time.perf_counter()
            seconds = (now - clock) / len(readings)
            with synced_together(self._not_on_disk):
                for run, record in readings.items():
                    with self._failing(places[run]):
                        self._take(places[run], record, seconds)
            done = next(state.step for state in (recorders[run].state for run in readings))
            on_progress((done - step) * share * len(readings), [recorder.metrics for recorder in recorders])
            step = done
            spent = time.perf_counter() - clock
            for run in readings:  # the time of the stack is divided equally among its runs
                recorders[run].state.leave_out(spent * (1 - 1 / len(readings)))
            clock = time.perf_counter()
        with synced_together(self._not_on_disk):
            for place, recorder in zip(places, recorders, strict=True):
                if place not in self.endings:
                    with self._failing(place):
                        self._end(place, recorder.end(interruption.number))

    def _trained(self, places: Sequence[int], interruption: Interruption) -> Iterator[Readings]:
        setups = [self.setups[place] for place in places]
        first = setups[0]
        with failing_in_training(first.config), memory_errors(first.batch_size):
            yield from train(
                [setup.learner for setup in setups],
                [setup.prepared.training for setup in setups],
                first.settings,
                interrupted=interruption,
                ended=lambda run: places[run] in self.endings,
            )

    def _take(self, place: int, record: Record | Diverged, seconds: float) -> None:
        """Pass a record to the recorder of a run. If the run has diverged or stopped early, end the run."""
        recorder = self._open[place][1]
        if isinstance(record, Diverged):
            self._end(place, recorder.diverged(record))
            return
        try:
            recorder.take(record, seconds)
            if recorder.stopped:
                self._end(place, recorder.end(None))
        except Diverged as error:
            self._end(place, recorder.diverged(error))

    def _end(self, place: int, outcome: Outcome) -> None:
        """Write the summary of a run, and close its files."""
        resources, recorder = self._open[place]
        recorder.close(outcome)
        summary = recorder.summarize(outcome)
        self.endings[place] = summary if outcome.error is None else outcome.error
        if outcome.error is None:
            recorder.watch.draw_ending(summary)
        resources.close()

    def _not_on_disk(self, error: OSError) -> None:
        """Store a sync error as the ending of the run whose directory contains the file.

        The error replaces an earlier ending of the run. If no run's directory contains the file, the error is raised.
        """
        for place, directory in enumerate(self.directories):
            if error.filename is not None and Path(error.filename).is_relative_to(directory):
                self.endings[place] = error
                return
        raise error

    @contextmanager
    def _failing(self, place: int) -> Iterator[None]:
        """Store an error inside this context as the ending of one run. The other runs go on."""
        try:
            with named_errors(self.directories[place]):
                yield
        except (DeeprobError, OSError) as error:
            self.endings[place] = error


def common_step(checkpoints: Sequence[Path]) -> int | None:
    """Return the number of the latest update for which all runs have a checkpoint; None if there is no such update.

    Runs without any checkpoint are ignored. The runs may have different checkpoints if the process was killed while it
    wrote checkpoints.
    """
    found = [{int(content["step"]) for content in generations(path)} for path in checkpoints]
    common = set.intersection(*found) if (found := [steps for steps in found if steps]) else set()
    return max(common, default=None)
