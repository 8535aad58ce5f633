"""Sweepers that search: they see what became of a batch of jobs before they choose the next."""

import json
from pathlib import Path

import pytest
import yaml

WORDS = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=3", "hydra.sweep.dir=s")
VALIDATED = "dataset.val_fraction=0.2"

pytestmark = pytest.mark.filterwarnings("ignore:::optuna", "ignore:::hydra_plugins")


def chosen() -> dict:
    return yaml.safe_load(Path("s/optimization_results.yaml").read_text())


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_optuna_is_told_the_monitored_metric(deeprob, small, launcher):
    space = ("optimizer.lr=tag(log,interval(1e-5,1e-1))", "hydra.sweeper.direction=maximize")
    assert deeprob(*WORDS, *small, VALIDATED, *space, f"hydra/launcher={launcher}").status == 0
    accuracies = {
        folder.name: json.loads((folder / "summary.json").read_text())["val/accuracy"]
        for folder in Path("s").iterdir()
        if folder.is_dir()
    }
    assert sorted(name[:3] for name in accuracies) == ["000", "001", "002", "003", "004", "005"]
    assert chosen()["best_value"] == max(accuracies.values())
    best = [name for name in accuracies if f"={chosen()['best_params']['optimizer.lr']}" in name]
    assert [accuracies[name] for name in best] == [chosen()["best_value"]]


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_a_trial_that_diverges_has_failed(deeprob, small, launcher):
    space = ("optimizer.lr=choice(1e30)", "hydra.sweeper.max_failure_rate=1.0")
    result = deeprob(*WORDS, *small, VALIDATED, *space, f"hydra/launcher={launcher}")
    assert "error: job 0: diverged: " in result.err


@pytest.mark.parametrize("launcher", ["vectorized", "basic"])
def test_without_a_validation_split_there_is_nothing_to_search_by(deeprob, small, launcher):
    words = (*WORDS, *small, "optimizer.lr=interval(1e-3,1e-2)")
    result = deeprob(*words, f"hydra/launcher={launcher}")
    assert result.status == 2
    assert "needs val/accuracy; set dataset.val_fraction=0.1, say" in result.err
