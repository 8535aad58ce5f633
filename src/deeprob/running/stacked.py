"""Several runs from their configs to their files, trained as one stack; each leaves what it would have left alone."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from deeprob import config as configs
from deeprob.assembly.assembly import ALL_THREADS, SMALL_UPDATE, Experiment
from deeprob.errors import DeeprobError, Diverged, Interrupted, memory_errors
from deeprob.running.recorder import Following, Outcome, opened, summarize
from deeprob.tracking.checkpoint_file import generations
from deeprob.tracking.files import synced_together
from deeprob.tracking.run_dir import RunDirectory, named_errors
from deeprob.tracking.signals import Interruption
from deeprob.training.stacked.compiled import Compiler
from deeprob.training.stacked.loop import Member, Readings, train_stack

Ending = dict[str, Any] | BaseException
"""The content of a run's ``summary.json``, or the error that ended it."""
Tell = Callable[[float, Sequence[Mapping[str, float]]], None]
"""Is told how many runs' worth of updates were done, and the last metrics of each run."""


@dataclass
class StackedRuns:
    """Runs of one structure that are built and train together.

    Parameters
    ----------
    experiments, directories
        Each run, after as many updates as the others, and where its files go.
    command
        The words that started the sweep.
    resume
        Go on in directories that have files.
    varying
        See `train_stack`.

    Attributes
    ----------
    endings
        What became of the runs that have ended, by their place.
    """

    experiments: Sequence[Experiment]
    directories: Sequence[Path]
    command: Sequence[str]
    resume: bool = False
    varying: Collection[str] = ()
    endings: dict[int, Ending] = field(default_factory=dict)
    _open: dict[int, tuple[ExitStack, Following]] = field(default_factory=dict)

    def train(self, compiler: Compiler | None, tell: Tell) -> dict[int, Ending]:
        """Train all to their end, and return what became of each.

        Parameters
        ----------
        compiler
            See `train_stack`.
        tell
            See `Tell`.

        Raises
        ------
        Interrupted
            When a signal came, after every run that was under way has its checkpoint and its summary.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            with Interruption() as interruption:
                with synced_together():
                    self._begin(interruption)
                for places in self._by_step():
                    self._follow(places, compiler, interruption, tell)
            if interruption.number is not None and self._cut_short:
                raise Interrupted(interruption.number)
            return self.endings
        finally:
            torch.set_num_threads(threads)
            for resources, _ in self._open.values():
                resources.close()

    @property
    def threads(self) -> int:
        """How many CPU threads to use."""
        first = self.experiments[0]
        if isinstance(first.config.trainer.threads, int):
            return first.config.trainer.threads
        work = 6 * first.batch_size * first.parameters * len(self.experiments)
        return 1 if work < SMALL_UPDATE else ALL_THREADS

    @property
    def _cut_short(self) -> bool:
        return any(isinstance(ending, Interrupted) for ending in self.endings.values())

    def _begin(self, interruption: Interruption) -> None:
        """Open every run's files."""
        at = common_step(
            [directory / "checkpoints" / "last.pt" for directory in self.directories] if self.resume else []
        )
        for place, (experiment, directory) in enumerate(zip(self.experiments, self.directories, strict=True)):
            with self._failing(place), ExitStack() as resources:
                resources.enter_context(named_errors(directory))
                files = RunDirectory(directory, self.resume)
                resources.enter_context(files)
                following = resources.enter_context(
                    opened(experiment, files, self.command, alone=False, first=False, at=at, interrupted=interruption)
                )
                self._open[place] = resources.pop_all(), following

    def _by_step(self) -> list[list[int]]:
        """Return the places of runs that have made as many updates, together."""
        steps: dict[int, list[int]] = {}
        for place, (_, following) in self._open.items():
            if following.stopped:
                self._end(place, following.end(None))
            else:
                steps.setdefault(following.state.step, []).append(place)
        return list(steps.values())

    def _follow(
        self,
        places: Sequence[int],
        compiler: Compiler | None,
        interruption: Interruption,
        tell: Tell,
    ) -> None:
        """Hand every record on to its run, and end each when it is time."""
        followings = [self._open[place][1] for place in places]
        clock = time.perf_counter()
        step, share = followings[0].state.step, 1 / self.experiments[0].steps
        for readings in self._trained(places, compiler, interruption):
            now = time.perf_counter()
            seconds = (now - clock) / len(readings)
            with synced_together():
                for run, record in readings.items():
                    with self._failing(places[run]):
                        self._take(places[run], record, seconds)
            done = next(state.step for state in (followings[run].state for run in readings))
            tell((done - step) * share * len(readings), [following.metrics for following in followings])
            step = done
            spent = time.perf_counter() - clock
            for run in readings:  # the others' part of the time is not a run's own
                followings[run].state.leave_out(spent * (1 - 1 / len(readings)))
            clock = time.perf_counter()
        with synced_together():
            for place, following in zip(places, followings, strict=True):
                if place not in self.endings:
                    with self._failing(place):
                        self._end(place, following.end(interruption.number))

    def _trained(
        self, places: Sequence[int], compiler: Compiler | None, interruption: Interruption
    ) -> Iterator[Readings]:
        experiments = [self.experiments[place] for place in places]
        first, trainer = experiments[0], experiments[0].config.trainer
        members = [
            Member(e.state, e.objective, e.config.optimizer, e.config.seed, e.config.regularizer.selects)
            for e in experiments
        ]
        with memory_errors(first.batch_size):
            yield from train_stack(
                members,
                configs.name_of(first.config.optimizer),
                first.predictor.features,
                first.splits.train,
                epochs=trainer.epochs,
                batch_size=first.batch_size,
                chunk_size=first.chunk_size,
                log_every=trainer.log_every,
                bf16=first.predictor.bf16,
                pause_every=trainer.checkpoint_steps,
                augment=first.config.dataset.augmentation(),
                compiler=compiler,
                varying=self.varying,
                validation=first.splits.val,
                interrupted=interruption,
                ended=lambda run: places[run] in self.endings,
            )

    def _take(self, place: int, record: Any, seconds: float) -> None:
        """Hand a record to its run, and end the run if it is its last."""
        following = self._open[place][1]
        if isinstance(record, Diverged):
            self._end(place, following.diverged(record))
            return
        try:
            following.take(record, seconds)
            if following.stopped:
                self._end(place, following.end(None))
        except Diverged as error:
            self._end(place, following.diverged(error))

    def _end(self, place: int, outcome: Outcome) -> None:
        """Close a run's files and write its summary."""
        resources, following = self._open[place]
        following.close(outcome)
        summary = summarize(following, outcome)
        self.endings[place] = summary if outcome.error is None else outcome.error
        if outcome.error is None:
            following.watch.ending(summary)
        resources.close()

    @contextmanager
    def _failing(self, place: int) -> Iterator[None]:
        """Let an error of one run end that run alone."""
        try:
            yield
        except (DeeprobError, OSError) as error:
            self.endings[place] = error


def common_step(checkpoints: Sequence[Path]) -> int | None:
    """Return the latest update of which all runs that have checkpoints have one; None if there is none.

    A process that was killed while it wrote has some runs' newest checkpoint of one update, and others' of the one
    before.
    """
    found = [{int(content["step"]) for content in generations(path)} for path in checkpoints]
    common = set.intersection(*found) if (found := [steps for steps in found if steps]) else set()
    return max(common, default=None)
