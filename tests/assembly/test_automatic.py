"""What ``auto`` stands for once the number of training examples is known."""

from pathlib import Path

import pytest

from deeprob.assembly.automatic import DECIDED, decided
from deeprob.assembly.config import RunConfig
from deeprob.config import flat
from deeprob.data import CSVConfig, SpiralsConfig
from deeprob.features import RawConfig
from deeprob.models import LinearConfig, MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, CosineConfig, LBFGSConfig, SGDConfig
from deeprob.training import TrainerConfig


def config(batch_size: int | str = 32, **changes) -> RunConfig:
    parts = {
        "dataset": CSVConfig(root="table.csv"),
        "features": RawConfig(),
        "model": MLPConfig(),
        "loss": CrossEntropyConfig(),
        "regularizer": NoneConfig(),
        "optimizer": AdamWConfig(weight_decay="auto"),
        "scheduler": CosineConfig(),
    }
    return RunConfig(**({"trainer": TrainerConfig(batch_size=batch_size)} | parts | changes))


@pytest.mark.parametrize(
    ("changes", "examples", "batch_size", "epochs"),
    [
        ({}, 100, 32, 250),  # 4 updates an epoch, and 1,000 in all
        ({}, 97, 32, 250),
        ({}, 96, 32, 334),  # 3 updates an epoch: 333 epochs have only 999
        ({}, 100, "full", 1000),
        ({}, 2_000, 32, 30),  # 63 updates an epoch
        ({}, 40_000, 32, 30),
        ({"model": LinearConfig()}, 100, 32, 2500),
        ({"model": MLPConfig(layers=1)}, 100, 32, 2500),
        ({"model": LinearConfig()}, 40_000, 32, 30),
        ({"optimizer": SGDConfig()}, 100, 32, 250),
        ({"optimizer": LBFGSConfig()}, 100, "full", 30),
        ({"dataset": SpiralsConfig()}, 100, 32, 250),
    ],
)
def test_few_examples_get_more_epochs(changes, examples, batch_size, epochs):
    assert decided(config(batch_size, **changes), examples).trainer.epochs == epochs


@pytest.mark.parametrize(
    ("changes", "examples", "weight_decay"),
    [
        ({}, 100, 4.0),
        ({"model": LinearConfig()}, 100, 0.15),
        ({}, 40_000, 0.2),
        ({"model": LinearConfig()}, 40_000, 0.01),  # torch's default
        ({"dataset": SpiralsConfig()}, 100, 0.01),
        ({"optimizer": AdamWConfig()}, 100, 0.01),
    ],
)
def test_few_rows_of_a_table_get_more_weight_decay(changes, examples, weight_decay):
    assert decided(config(**changes), examples).optimizer.weight_decay == pytest.approx(weight_decay, rel=1e-12)


def test_numbers_that_are_given_stay():
    given = config(trainer=TrainerConfig(epochs=3), optimizer=AdamWConfig(weight_decay=0.5))
    assert decided(given, 100) == given
    assert decided(decided(config(), 100), 9) == decided(config(), 100)
    assert {flat(config())[key] for key in DECIDED} == {"auto"}


# ---------------------------------------------------------------- whole runs

QUICK = ("dataset.points_per_class=11", "model.width=2", "trainer.figures=[]", "trainer.batch_size=4")


def test_a_run_keeps_the_number_that_it_has_found(deeprob):
    first = deeprob(*QUICK, "hydra.run.dir=run", "scheduler=constant")
    assert first.status == 0, first.err
    assert "epoch 112 of 112; completed" in first.out
    text = Path("run/config.yaml").read_text()
    assert "  epochs: 112\n" in text
    assert "  weight_decay: 0.01\n" in text
    again = deeprob("resume=run", "trainer.epochs=auto", "optimizer.weight_decay=auto")
    assert again.status == 0, again.err
    assert "run is complete already" in again.err
    longer = deeprob("resume=run", "trainer.epochs=113")
    assert "epoch 113 of 113; completed" in longer.out, longer.err
    assert "run is complete already" in deeprob("resume=run", "trainer.epochs=auto").err


def test_a_sweep_finds_its_runs_again(deeprob):
    words = ("-m", "seed=0,1", "trainer.epochs=2,auto", *QUICK, "hydra.sweep.dir=sweep", "resume=auto")
    first = deeprob(*words)
    assert first.status == 0, first.err
    times = {path: path.stat().st_mtime_ns for path in Path("sweep").glob("*/summary.json")}
    assert len(times) == 4
    again = deeprob(*words)
    assert again.status == 0, again.err
    assert sorted(again.out.splitlines()[:5]) == sorted(first.out.splitlines()[:5])
    assert {path: path.stat().st_mtime_ns for path in Path("sweep").glob("*/summary.json")} == times
    more = deeprob("-m", "seed=1,2", "trainer.epochs=3,auto", *words[3:])
    assert more.status == 0, more.err
    assert len(list(Path("sweep").glob("*/summary.json"))) == 4 + 3  # only seed=1 with auto was there


def test_weights_of_examples_count_in_the_decay_and_not_in_the_epochs():
    found = decided(config(), 100, 40_000)
    assert found.optimizer.weight_decay == pytest.approx(0.2, rel=1e-12)
    assert found.trainer.epochs == decided(config(), 100).trainer.epochs
