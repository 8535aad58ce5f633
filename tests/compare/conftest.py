"""Run directories as training leaves them, made without training."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.compare.past_runs import PastRun, read_run
from deeprob.config import options

CHOICES = {
    "dataset": "spirals", "features": "raw", "model": "mlp", "loss": "cross_entropy", "regularizer": "none",
    "optimizer": "adamw", "scheduler": "cosine", "trainer": "default",
}  # fmt: skip


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """Return the config with some choices and values, and the rest as it comes."""
    chosen = {group: options(group)[values.get(group, name)]() for group, name in CHOICES.items()}
    config = RunConfig(**chosen, seed=values.get("seed", 0))
    for key, value in values.items():
        group, _, name = key.partition(".")
        if name:
            setattr(getattr(config, group), name, value)
    return config.resolved()


@pytest.fixture
def make_run(tmp_path) -> Callable[..., Path]:
    """Write a run directory: make_run("s/000", {"optimizer.lr": 0.1}, accuracy=0.9); status=None leaves no summary."""

    def make(
        name: str,
        values: Mapping[str, Any],
        accuracy: float | None = None,
        status: str | None = "completed",
        curve: tuple[float, ...] = (),
        **others: float,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_bytes(configs.to_yaml(run_config(values)))
        measured = {} if accuracy is None else {"test/accuracy": accuracy}
        if status is not None:
            named = {key.replace("_", "/", 1): value for key, value in others.items()}
            (folder / "summary.json").write_text(json.dumps({"status": status, "epochs": 3, **measured, **named}))
        rows = [f"{epoch},{3 * epoch},{value}" for epoch, value in enumerate(curve, 1)]
        if curve:
            (folder / "metrics.csv").write_text("\n".join(["epoch,step,train/accuracy", *rows]) + "\n")
        return folder

    return make


@pytest.fixture
def grid(make_run) -> list[PastRun]:
    """Two learning rates × two widths × two seeds; accuracy is 0.5 + lr + width / 100 ± 0.01."""
    return [
        read_run(make_run(f"grid/{lr}-{width}-{seed}", values, 0.5 + lr + width / 100 + (0.01, -0.01)[seed]))
        for lr in (0.1, 0.3)
        for width in (4, 8)
        for seed in (0, 1)
        for values in [{"optimizer.lr": lr, "model.width": width, "seed": seed}]
    ]


def copy_of(run: PastRun, **changes: Any) -> PastRun:
    return dataclasses.replace(run, **changes)
