"""Watch a run: show its trackers pictures and histograms while it trains, and draw its figures at the end."""

import copy
import dataclasses
import io
import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from deeprob.assembly.automatic import epochs_of
from deeprob.assembly.finished import Run
from deeprob.assembly.setup import Setup
from deeprob.config import name_of
from deeprob.errors import UserError, one_line
from deeprob.running.trackers import Trackers
from deeprob.tracking.console import note

if TYPE_CHECKING:
    from deeprob.figures import FigureConfig

SHARE = 0.05  # while a run trains, drawing takes at most this share of the training time
LOOKS = 5  # default number of snapshots of a run, without the snapshot at its start
SAMPLE = 1024  # number of examples for the statistics of activations
GRACE = 5.0  # when this number of seconds has passed after a signal, no further picture is started
DPI = 100
FRAMES = 10  # number of frames of a film: TensorBoard keeps this many pictures per tag


class Watch:
    """Takes a snapshot of a run every few epochs, and draws it when there is time.

    - While a run trains, drawing takes at most the share `SHARE` of its time.
    - The remaining snapshots are drawn just before the next checkpoint is written. So if the run is resumed from this
      checkpoint, no picture is missing, and no picture is drawn twice.
    - A run is short if it ends before there is time for a picture. Only the snapshot at its end is drawn, because six
      pictures would take longer than the training. If ``trainer.figures_every`` is given, no run counts as short.

    Parameters
    ----------
    setup, directory, trackers
        The run, its directory, and its trackers.
    alone
        True if the run is not a job of a sweep. Then the default figures are drawn if ``trainer.figures`` is null.
    interrupted
        A function that returns whether the run must end soon. After it has returned True, pictures are drawn for
        `GRACE` more seconds. The remaining pictures are left out.

    Attributes
    ----------
    looked
        The number of updates before the newest snapshot; 0 if there is no snapshot.
    """

    def __init__(
        self,
        setup: Setup,
        directory: Path,
        trackers: Trackers,
        alone: bool,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self.setup, self.directory, self.trackers, self.interrupted = setup, directory, trackers, interrupted
        trainer = setup.config.trainer
        self.names = trainer.figures
        self.looks = alone if trainer.figures is None else bool(trainer.figures)
        self.live = self.looks and trackers.take_snapshots
        self.every = trainer.figures_every or -(-epochs_of(setup.config) // LOOKS)
        self._all, self._ended = trainer.figures_every > 0, False
        self._pending: list[tuple[int, Run]] = []
        self.looked = 0
        self._spent, self._longest = 0.0, 1.0  # 1 second, because the first picture imports matplotlib
        self._deadline = math.inf

    def look(self, epoch: int) -> None:
        """Take a snapshot after `epoch` epochs if one is due, and draw snapshots if there is time."""
        if self.live and epoch % self.every == 0:
            self._look()

    def look_at_end(self) -> None:
        """Take a snapshot at the end of training, even if training ended early. A short run has only this snapshot."""
        if self.live and self.looked != self.setup.state.step:
            self._look()
        self._ended = True
        if self._short():
            del self._pending[:-1]

    def _look(self) -> None:
        self.looked = self.setup.state.step
        self._pending.append((self.looked, snapshot(self.setup, self.directory)))
        while self._pending and self._spent + self._longest <= SHARE * self.setup.state.seconds:
            self._show(*self._pending.pop(0))

    def catch_up(self) -> None:
        """Draw all pending snapshots. If the run is short and has not ended yet, do nothing.

        If the run must end soon, drawing stops after `GRACE` seconds. The remaining snapshots are left out.
        """
        if not self._ended and self._short():
            return
        while self._pending and not self._late():
            self._show(*self._pending.pop(0))
        if self._pending:
            note(f"pictures of step {', '.join(str(step) for step, _ in self._pending)} left out: the run must end now")
            self._pending.clear()

    def films(self) -> None:
        """Show the trackers each requested film as at most `FRAMES` pictures. Their steps are 0, 1, 2, …."""
        if not (self.names and self.live):
            return
        run = snapshot(self.setup, self.directory)
        for figure in self._in_time(named(self.names, run)):
            with never_mind(figure):
                frames = [pixels for pixels, _ in figure.film(run)]
                for step in range(min(FRAMES, len(frames))):
                    pixels = frames[round(step * (len(frames) - 1) / (FRAMES - 1))]
                    self.trackers.image(f"figures/{name_of(figure)}_frames", png_of(pixels), step)

    def draw_ending(self, metrics: Mapping[str, Any]) -> None:
        """Draw the figures of the finished run, and save them in the ``figures`` folder of the run."""
        if self.looks:
            from deeprob.figures.base import tell_cut

            run = dataclasses.replace(snapshot(self.setup, self.directory), metrics=metrics)
            for figure in self._in_time(self._figures(run, live=False)):
                with never_mind(figure):
                    if self.names is not None:
                        tell_cut(figure, {"": run}, "trainer.figures")
                    figure.save(run, self.directory / "figures")

    def _figures(self, run: Run, *, live: bool) -> "list[FigureConfig]":
        """Return the figures in ``trainer.figures``. If it is null, return the default figures (see `suited`)."""
        return suited(run, live=live) if self.names is None else named(self.names, run)

    def _short(self) -> bool:
        """Return whether the run is short (see `Watch`). Before its end, its training time is estimated."""
        if self._all or self._spent > 0:
            return False
        state = self.setup.state
        expected = state.seconds if self._ended else state.seconds * self.setup.steps / max(state.step, 1)
        return self._longest > SHARE * expected

    def _late(self) -> bool:
        """Return whether the time for drawing is over. It ends `GRACE` seconds after an interruption."""
        if self.interrupted():
            self._deadline = min(self._deadline, time.monotonic() + GRACE)
        return time.monotonic() > self._deadline

    def _in_time(self, figures: "list[FigureConfig]") -> "Iterator[FigureConfig]":
        """Yield the figures one by one until the time is up (see `_late`)."""
        return itertools.takewhile(lambda figure: not self._late(), figures)

    def _show(self, step: int, run: Run) -> None:
        """Show the trackers pictures, histograms and activation statistics of a run."""
        began = time.perf_counter()
        from deeprob.figures import activation_statistics
        from deeprob.figures.style import png

        for figure in self._in_time(self._figures(run, live=True)):
            with never_mind(figure):
                self.trackers.image(f"figures/{name_of(figure)}", png(figure.quick().draw(run), DPI), step)
        for name, parameter in run.model.named_parameters():
            self.trackers.histogram(f"weights/{name}", parameter.detach().numpy(), step)
        inputs = run.features_of("train", slice(SAMPLE))
        with torch.no_grad():
            for name, values in run.model.stages(inputs):
                self.trackers.histogram(f"units/{name.replace(' ', '_')}", values.numpy(), step)
        for name, shares in activation_statistics(run.model, inputs).items():
            layer = name.replace(" ", "_")
            self.trackers.scalars({f"units/{layer}_{share}": value for share, value in shares.items()}, step)
        seconds = time.perf_counter() - began
        self._spent += seconds
        self._longest = seconds if self._spent == seconds else max(self._longest, seconds)
        self.setup.state.leave_out(seconds)


def png_of(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Return pixels (H, W, 3) as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def snapshot(setup: Setup, directory: Path) -> Run:
    """Copy the run in its current state to the CPU, and return the copy."""
    predictor = copy.deepcopy(setup.predictor).to(torch.device("cpu"), setup.config.trainer.dtype)
    predictor.model.eval()
    state, data = setup.state, (setup.raw, setup.splits)
    return Run(directory, setup.config, dict(state.metrics), predictor, *data)


def check_figures(setup: Setup, directory: Path) -> None:
    """Raise a `UserError` if a figure in the run's config does not exist or does not suit the run."""
    if setup.config.trainer.figures:
        named(setup.config.trainer.figures, snapshot(setup, directory))


def suited(run: Run, *, live: bool) -> "list[FigureConfig]":
    """Return the default figures of a run.

    If `live` is True, these are the figures that are drawn during training. Otherwise they are the figures that are
    drawn when the run has finished.
    """
    from deeprob.figures import figures_of_runs

    everything = figures_of_runs().values()
    wanted = [figure for figure in everything if figure.watched(run) or (figure.usual and not live)]
    return [figure for figure in wanted if not figure.unsuited(run)]


def check_names(names: list[str] | None) -> None:
    """Raise a `UserError` if a figure does not exist."""
    if names:
        from deeprob.figures import figure_of_runs

        for name in names:
            figure_of_runs(name, "trainer.figures")


def named(names: list[str], run: Run) -> "list[FigureConfig]":
    """Return the figures with these names.

    Raises
    ------
    UserError
        If a figure does not exist or does not suit the run.
    """
    from deeprob.figures import figure_of_runs

    figures = [figure_of_runs(name, "trainer.figures") for name in names]
    for figure in figures:
        if reason := figure.unsuited(run):
            raise UserError(f"trainer.figures: {name_of(figure)} {reason}")
    return figures


@contextmanager
def never_mind(figure: "FigureConfig") -> Iterator[None]:
    """If drawing fails inside this context, print a note and go on. Only an `OSError` is raised."""
    try:
        yield
    except Exception as error:
        if isinstance(error, OSError):
            raise
        note(f"figure={name_of(figure)} could not be drawn: {one_line(error)}")
