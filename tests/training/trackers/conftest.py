from collections.abc import Callable
from pathlib import Path

import pytest

from deeprob.training.trackers import AboutRun


@pytest.fixture
def about(tmp_path) -> Callable[..., AboutRun]:
    """What trackers are told of a run in ``tmp_path/run``, which has its first files."""

    def build(**values) -> AboutRun:
        directory = Path(tmp_path, "run")
        directory.mkdir(exist_ok=True)
        (directory / "config.yaml").write_text("seed: 3\n")
        (directory / "provenance.json").write_text('{"command": "deeprob-train"}\n')
        given = {
            "name": "spirals-mlp-adamw",
            "directory": directory,
            "config": "seed: 3\n",
            "provenance": {"command": "deeprob-train"},
            "hyperparameters": {"model": "mlp", "optimizer.lr": 0.5, "optimizer.amsgrad": False},
            "classes": ["a", "b"],
            "validation": True,
        }
        return AboutRun(**given | values)

    return build
