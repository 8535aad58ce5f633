"""Every optimizer trains a network on the spirals with nothing but its own defaults."""

import csv
from pathlib import Path

import pytest

from deeprob.config import options


@pytest.mark.parametrize("name", sorted(options("optimizer")))
def test_loss_falls(deeprob, name):
    words = ("dataset.points_per_class=100", "trainer.epochs=8", "scheduler=constant", "hydra.run.dir=run")
    result = deeprob(f"optimizer={name}", *words)
    assert (result.status, result.err) == (0, "")
    with Path("run/metrics.csv").open() as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
