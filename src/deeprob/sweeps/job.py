"""One job of a sweep: its overrides, its config, its folder, and its outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprob.assembly.config import RunConfig, TrainConfig
from deeprob.errors import UserError, one_line


@dataclass(frozen=True)
class Job:
    """A job of a sweep.

    Attributes
    ----------
    number
        The number of the job in the sweep, counted from 0.
    words
        The overrides of the job.
    config
        The config that is composed from the overrides.
    folder
        The folder of the job's run.
    """

    number: int
    words: list[str]
    config: TrainConfig
    folder: Path


class Result(dict[str, Any]):
    """The summary of a run. A sweeper that searches uses ``float(result)``: the metric that chose the best epoch.

    Parameters
    ----------
    summary
        The content of ``summary.json``.
    config
        The config of the run. It determines which metric chose the best epoch.
    needed
        Whether the sweeper searches, and so needs the metric.

    Raises
    ------
    UserError
        If the metric is needed but the run has not measured it, for example because it has no validation split.
    """

    def __init__(self, summary: Mapping[str, Any], config: RunConfig, *, needed: bool = False) -> None:
        super().__init__(summary)
        self.monitor = config.resolved().trainer.monitor
        if needed and self.monitor not in self:
            raise UserError(f"a search needs {self.monitor}; set dataset.val_fraction=0.1, say")

    def __float__(self) -> float:
        """Return the metric that chose the best epoch."""
        return float(self[self.monitor])


def outcome(ending: Mapping[str, Any] | BaseException) -> dict[str, Any]:
    """Return the outcome of a job: status, error and metrics. `ending` is its summary or its exception."""
    if isinstance(ending, BaseException):
        return failure(ending)
    return {"status": ending["status"], "error": "", **ending}


def failure(error: BaseException) -> dict[str, Any]:
    """Return the outcome of a job that ended with an exception: the status, and the error in one line.

    If the job was interrupted, the error is empty.
    """
    status = getattr(error, "outcome", "failed")
    return {"status": status, "error": "" if status == "interrupted" else one_line(error).removeprefix("diverged: ")}
