"""Runs in a folder of MLflow. Nothing leaves this machine."""

import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from deeprob.config import register
from deeprob.training.trackers.base import AboutRun, Position, Tracker, TrackerConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

SEND_EVERY = 2.0
"""The number of seconds between two writes."""

STATUSES = {"completed": "FINISHED", "stopped": "FINISHED", "interrupted": "KILLED"}
"""MLflow's status for each status of a run. All others are FAILED."""

ENVIRONMENT = {
    "MLFLOW_ALLOW_FILE_STORE": "true",  # without it, MLflow refuses folders, because it prefers databases
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_DISABLE_AGENT_HINT": "true",
}
METRICS_AT_ONCE, PARAMS_AT_ONCE, LONGEST_PARAM = 1000, 100, 6000  # MLflow's limits


@register("tracker", "mlflow")
@dataclass(kw_only=True, slots=True)
class MLflowConfig(TrackerConfig):
    """Runs in a folder of MLflow: parameters, metrics and pictures. It needs the extra ``mlflow``.

    Attributes
    ----------
    folder
        The folder of MLflow's runs. Example: ``trainer.trackers=[csv,'mlflow folder=outputs/mlruns']``.
    """

    folder: str = "mlruns"

    def problems(self) -> Iterator[str]:
        """Yield a message if MLflow is not installed."""
        if find_spec("mlflow") is None:
            yield 'mlflow is not installed: pip install "deeprob[mlflow]"'

    def build(self) -> Tracker:
        """Return the tracker of one run."""
        return MLflow(Path(self.folder).absolute())


@contextmanager
def alone() -> Iterator[None]:
    """Set the variables in `ENVIRONMENT` inside this context, and keep the warnings' filters as they are."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class MLflow(Tracker):
    """Writes a run of MLflow. Its experiment has the names of dataset, model and optimizer.

    MLflow cannot remove points of a curve. So after a run is resumed, points that MLflow has already are left out.

    Parameters
    ----------
    folder
        The folder of MLflow's runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._run = ""
        self._status = "FAILED"
        self._points: list[tuple[str, float, int, int]] = []  # key, value, milliseconds, step
        self._sent = 0.0
        self._resumed = False
        self._last_steps: dict[str, int] = {}

    def begin(self, about: AboutRun) -> None:
        """Begin a run of MLflow with the hyperparameters, the config and the provenance."""
        with alone():
            from mlflow.entities import Param

            client = self._open(about.name)
            self._run = client.create_run(self._experiment, run_name=about.directory.name).info.run_id
            params = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in about.hyperparameters.items()]
            for start in range(0, len(params), PARAMS_AT_ONCE):
                client.log_batch(self._run, params=params[start : start + PARAMS_AT_ONCE])
            for name in ("config.yaml", "provenance.json"):
                client.log_artifact(self._run, str(about.directory / name))

    def go_on(self, about: AboutRun, position: Position) -> None:
        """Go on with the run of MLflow. If there is none, begin one."""
        if "run" not in position:
            self.begin(about)
            return
        with alone():
            self._run, self._resumed = str(position["run"]), True
            self._open(about.name).update_run(self._run, "RUNNING")

    def _open(self, experiment: str) -> "MlflowClient":
        """Open the folder, make the experiment if there is none yet, and return the client."""
        from mlflow import MlflowClient

        lock = self._folder.with_name(f".{self._folder.name}.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.touch()  # FileLock would try for ever where no file can be made
        with FileLock(lock, timeout=60):  # several processes may begin at once
            self._client = MlflowClient(tracking_uri=self._folder.as_uri())
            known = self._client.get_experiment_by_name(experiment)
            self._experiment = known.experiment_id if known else self._client.create_experiment(experiment)
        return self._client

    def scalars(self, values: Mapping[str, float], step: int, epoch: int) -> None:
        """Add a point of each curve."""
        now = int(1000 * time.time())
        self._points += [(key_of(tag), value, now, step) for tag, value in values.items()]

    def best(self, metrics: Mapping[str, float], step: int) -> None:
        """Add the metrics of the best checkpoint, as ``best/train/loss`` and so on."""
        self.scalars({f"best/{name}": value for name, value in metrics.items()}, step, 0)

    def image(self, tag: str, png: bytes, step: int) -> None:
        """Write a picture as an artifact. The name of the file is the step."""
        with alone(), tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"{step:06}.png")
            path.write_bytes(png)
            self._client.log_artifact(self._run, str(path), tag)

    def finished(self, summary: Mapping[str, Any]) -> None:
        """Keep the status for `close`."""
        self._status = STATUSES.get(summary["status"], "FAILED")

    def position(self) -> Position:
        """Return the name of MLflow's run."""
        self._send()
        return {"run": self._run}

    def flush(self) -> None:
        """Write the points that wait, if the last write was some seconds ago."""
        if time.monotonic() - self._sent >= SEND_EVERY:
            self._send()

    def close(self) -> None:
        """Write the points that wait, and end MLflow's run."""
        self._send()
        with alone():
            self._client.set_terminated(self._run, self._status)

    def discard(self) -> None:
        """Forget the points that wait."""
        self._points.clear()

    def _send(self) -> None:
        with alone():
            from mlflow.entities import Metric

            new = [Metric(*point) for point in self._points if point[-1] > self._last_step(point[0])]
            for start in range(0, len(new), METRICS_AT_ONCE):
                self._client.log_batch(self._run, metrics=new[start : start + METRICS_AT_ONCE])
        self._points.clear()
        self._sent = time.monotonic()

    def _last_step(self, key: str) -> int:
        """Return the last step of a curve that MLflow had when the run was resumed; −1 if it had none."""
        if not self._resumed:
            return -1
        if key not in self._last_steps:
            history = self._client.get_metric_history(self._run, key)
            self._last_steps[key] = max((point.step for point in history), default=-1)
        return self._last_steps[key]


def key_of(tag: str) -> str:
    """Return the key of a metric for MLflow, which accepts letters, digits and some signs. Others become ``_``."""
    return "/".join(
        "".join(sign if sign.isalnum() or sign in "_-. :" else "_" for sign in part).strip(".") or "_"
        for part in tag.split("/")
    )
