"""One job of a sweep: what was typed for it, its config, its folder, and what became of it."""

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
        Its place in the sweep, from 0 on.
    words
        Its overrides.
    config
        What they make.
    folder
        Where its run lies.
    """

    number: int
    words: list[str]
    config: TrainConfig
    folder: Path


class Result(dict[str, Any]):
    """The summary of a run; for a sweeper that searches also a number, the metric that chose its best epoch.

    Parameters
    ----------
    summary
        Content of ``summary.json``.
    config
        Of the run, for the name of the metric.
    needed
        Whether the sweeper searches.

    Raises
    ------
    UserError
        When the metric is needed, and the run has not measured it, as without a validation split.
    """

    def __init__(self, summary: Mapping[str, Any], config: RunConfig, *, needed: bool = False) -> None:
        super().__init__(summary)
        self.monitor = config.resolved().trainer.monitor
        if needed and self.monitor not in self:
            raise UserError(f"a sweeper that searches needs {self.monitor}; set dataset.val_fraction=0.1, say")

    def __float__(self) -> float:
        """Return the metric."""
        return float(self[self.monitor])


def outcome(ending: Mapping[str, Any] | BaseException) -> dict[str, Any]:
    """Return what became of a job, which ended with a summary or an exception: status, error, metrics."""
    if isinstance(ending, BaseException):
        return failure(ending)
    return {"status": ending["status"], "error": "", **ending}


def failure(error: BaseException) -> dict[str, Any]:
    """Return the status of a job that ended with an exception, and the reason in one line."""
    status = getattr(error, "outcome", "failed")
    return {"status": status, "error": "" if status == "interrupted" else one_line(error).removeprefix("diverged: ")}
