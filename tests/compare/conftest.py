"""Runs to compare, made without training."""

import pytest

from deeprob.compare.past_runs import PastRun, read_run


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
