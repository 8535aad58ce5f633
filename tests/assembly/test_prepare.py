from dataclasses import dataclass

import torch

from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared, prepare
from deeprob.assembly.setup import Setup
from deeprob.data import DatasetConfig, Examples, SpiralsConfig, Splits
from deeprob.features import PolarConfig, RawConfig
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig, NoneConfig
from deeprob.optim import AdamWConfig, CosineConfig
from deeprob.training import TrainerConfig

CPU = torch.device("cpu")


@dataclass(kw_only=True, slots=True)
class TwoPoints(DatasetConfig):
    regression_targets: bool = False

    def load(self) -> Splits:
        train = Examples(torch.tensor([[0.0, 10.0], [4.0, 30.0]]), torch.tensor([0, 1]))
        test = Examples(torch.tensor([[100.0, 100.0]]), torch.tensor([2]))
        if self.regression_targets:
            train, test = (Examples(part.inputs, part.targets[:, None].double()) for part in (train, test))
        return Splits(train, None, test, ("a", "b", "c"))


def test_features_are_fitted_on_the_training_split_alone():
    prepared = prepare(TwoPoints(), RawConfig(), CPU, torch.float32)
    assert prepared.features.standardize.mean.tolist() == [2.0, 20.0]
    assert prepared.features.standardize.deviation.tolist() == [2.0, 10.0]
    assert prepared.features(prepared.splits.test.inputs).tolist() == [[49.0, 8.0]]
    assert prepared.splits.val is None
    assert prepared.input_shape == (2,)


def test_floats_take_the_runs_precision_and_classes_stay():
    prepared = prepare(TwoPoints(), RawConfig(), CPU, torch.float64)
    assert prepared.splits.train.inputs.dtype == torch.float64
    assert prepared.splits.train.targets.dtype == torch.int64
    numbers = prepare(TwoPoints(regression_targets=True), RawConfig(), CPU, torch.float32)
    assert numbers.splits.test.targets.dtype == torch.float32


@dataclass(kw_only=True, slots=True)
class Times(DatasetConfig):
    """Two hundred seconds in a row, of which the second hundred is late."""

    start: float = 0.0

    def load(self) -> Splits:
        seconds = self.start + torch.arange(200, dtype=torch.float64)[:, None]
        examples = Examples(seconds, (torch.arange(200) >= 100).long())
        return Splits(examples, None, examples, ("in time", "late"))


def test_inputs_far_from_zero_train_to_the_bits_of_those_near():
    def trained(start: float) -> list[dict[str, float]]:
        dataset, trainer = Times(start=start), TrainerConfig(device="cpu", epochs=20, batch_size=32)
        parts = {"features": RawConfig(), "model": LinearConfig(), "loss": CrossEntropyConfig()}
        others = {"regularizer": NoneConfig(), "optimizer": AdamWConfig(lr=0.05), "scheduler": CosineConfig()}
        run = Setup.build(RunConfig(dataset=dataset, **parts, **others, trainer=trainer))
        metrics = [record.metrics for record in run.train(lambda: False)]
        return [*metrics, run.measure("test", run.splits.test)]

    assert trained(1_700_000_000.0) == trained(0.0)


def test_what_is_shared_is_prepared_once(monkeypatch):
    loads = []
    original = SpiralsConfig.load
    monkeypatch.setattr(SpiralsConfig, "load", lambda self: loads.append(self.seed) or original(self))
    shared = Shared(limit=2)
    first = shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32)
    assert shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32) is first
    shared.prepare(SpiralsConfig(), PolarConfig(), CPU, torch.float32)
    shared.prepare(SpiralsConfig(seed=1), RawConfig(), CPU, torch.float32)  # the oldest goes
    assert shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32) is not first
    assert loads == [0, 0, 1, 0]


def test_a_sweep_loads_its_dataset_once(deeprob, small, monkeypatch):
    loads = []
    original = SpiralsConfig.load
    monkeypatch.setattr(SpiralsConfig, "load", lambda self: loads.append(1) or original(self))
    assert deeprob("-m", *small, "seed=0,1,2", "optimizer.lr=1e-3,1e-2").status == 0
    assert len(loads) == 1
