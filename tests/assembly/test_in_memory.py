"""Runs in memory: the same updates as a run with files, the best weights, and passes over further examples."""

import pickle
from dataclasses import dataclass, replace

import pytest
import torch

from deeprob.assembly.config import RunConfig
from deeprob.assembly.in_memory import RunInMemory
from deeprob.assembly.setup import Setup
from deeprob.data import RandomRegressionConfig, SpiralsConfig, Splits
from deeprob.errors import Diverged
from deeprob.features import RawConfig
from deeprob.models import MLPConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig, SquaredErrorConfig
from deeprob.optim import AdamWConfig, ConstantConfig, CosineConfig, SGDConfig
from deeprob.training import TrainerConfig


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def config(epochs: int = 4, **changes) -> RunConfig:
    parts = {
        "dataset": SpiralsConfig(points_per_class=20, test_points_per_class=5),
        "features": RawConfig(),
        "model": MLPConfig(width=4),
        "loss": CrossEntropyConfig(),
        "regularizer": NoneConfig(),
        "optimizer": AdamWConfig(lr=0.02),
        "scheduler": CosineConfig(),
        "trainer": TrainerConfig(epochs=epochs, batch_size=16, device="cpu", preflight=False),
    }
    return RunConfig(**(parts | changes))


def test_it_makes_the_updates_of_its_setup(capfd):
    run, setup = RunInMemory.trained(config()), Setup.build(config().resolved())
    records = [record for record in setup.train(lambda: False) if record.epoch_metrics]
    for name, values in setup.state.model.state_dict().items():
        assert torch.equal(values, run.predictor.model.state_dict()[name])
    assert [row["train/loss"] for row in run.rows] == [record.epoch_metrics["train/loss"] for record in records]
    assert [(row["epoch"], row["step"]) for row in run.rows] == [(1, 4), (2, 8), (3, 12), (4, 16)]
    assert run.metrics["train/loss"] == setup.measure("train", setup.splits.train)["train/loss"]
    assert not run.predictor.model.training
    assert capfd.readouterr() == ("", "")


def test_the_best_weights_on_a_validation_split():
    dataset = SpiralsConfig(points_per_class=20, test_points_per_class=5, val_fraction=0.3)
    trainer = TrainerConfig(epochs=60, batch_size=16, device="cpu", monitor="val/loss", patience=8)
    run = RunInMemory.trained(config(dataset=dataset, trainer=trainer, optimizer=AdamWConfig(lr=0.3)))
    losses = [row["val/loss"] for row in run.rows]
    assert len(losses) == losses.index(min(losses)) + 1 + 8 < 60
    val = dataset.load().val
    scores = run.predictor.scores(run.predictor.features.extract(val.inputs))
    found = run.learner.objective.loss(scores, val.targets).mean().item()
    assert found == pytest.approx(min(losses), rel=1e-5)


def test_passes_have_a_constant_rate_and_are_the_epochs_of_a_loop():
    raw = config().dataset.load().train
    looped, passed = RunInMemory.trained(config(scheduler=ConstantConfig())), RunInMemory.passed_over(config())
    for _ in range(3):
        passed.pass_over(raw.inputs, raw.targets)
    for name, values in looped.predictor.model.state_dict().items():
        assert torch.equal(values, passed.predictor.model.state_dict()[name])
    assert [row["train/loss"] for row in passed.rows] == [row["train/loss"] for row in looped.rows]


@dataclass(kw_only=True, slots=True)
class LargeTargets(RandomRegressionConfig):
    standardize_targets: bool = True

    def load(self) -> Splits:
        splits = RandomRegressionConfig.load(self)
        return replace(splits, train=replace(splits.train, targets=1e6 * splits.train.targets))


def test_further_targets_are_scaled_as_the_first_were():
    dataset = LargeTargets(examples=40, inputs=3)
    run = RunInMemory.passed_over(config(dataset=dataset, loss=SquaredErrorConfig()))
    other, raw = pickle.loads(pickle.dumps(run)), dataset.load().train
    run.pass_over(raw.inputs, raw.targets)
    other.pass_over(raw.inputs, raw.targets, torch.full((len(raw),), 2.0))
    assert run.rows == other.rows  # equal weights are no weights
    far = run.predictor.target_scale.mean + 1e3 * run.predictor.target_scale.deviation
    run.pass_over(raw.inputs, far.expand_as(raw.targets))
    assert run.rows[-1]["train/loss"] == pytest.approx(1e6 * raw.targets.shape[1], rel=0.1)


def test_each_tensor_has_memory_of_its_own():
    run = RunInMemory.trained(config(model=MLPConfig(width=4, norm="batch"), epochs=1))
    state = run.learner.state
    kept = [value for of_one in state.optimizer.state.values() for value in of_one.values()]
    tensors = [*state.model.parameters(), *state.model.buffers(), *kept]
    assert len(kept) == 3 * len(list(state.model.parameters()))
    assert all(tensor.untyped_storage().nbytes() == tensor.nbytes for tensor in tensors)
    assert len(pickle.dumps(run)) < 60_000


def test_a_run_that_diverges():
    too_fast = config(dataset=RandomRegressionConfig(), loss=SquaredErrorConfig(), optimizer=SGDConfig(lr=1e20))
    with pytest.raises(Diverged):
        RunInMemory.trained(too_fast)
