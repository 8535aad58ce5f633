import gc
import pickle
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from deeprob.assembly.config import RunConfig
from deeprob.assembly.prepare import Shared, prepare
from deeprob.assembly.setup import Setup
from deeprob.data import CSVConfig, DatasetConfig, Examples, GivenConfig, RandomRegressionConfig, SpiralsConfig, Splits
from deeprob.data.columns import Column, Table
from deeprob.data.frames import table_of
from deeprob.data.given import Given
from deeprob.errors import UserError
from deeprob.features import PcaConfig, PolarConfig, RawConfig
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
            return Splits(train, None, test, ())
        return Splits(train, None, test, ("a", "b", "c"))


@dataclass(kw_only=True, slots=True)
class Frame(CSVConfig):
    root: str = ""
    missing: str = "indicator"
    standardize_targets: bool = False

    def load(self) -> Splits:
        return self.split(table_of({"x": [1.0, None, 3, 4] * 5, "c": list("uvwu") * 5, "y": list("abab") * 5}))


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


def test_targets_are_standardised_over_the_training_split():
    config = TwoPoints(regression_targets=True, standardize_targets=True)
    prepared = prepare(config, RawConfig(), CPU, torch.float32)
    assert prepared.splits.train.targets.tolist() == [[-1.0], [1.0]]
    assert prepared.splits.test.targets.tolist() == [[3.0]]
    assert prepared.splits.test.targets.dtype == torch.float32
    assert prepared.raw.test.targets.tolist() == [[2.0]]
    classes = prepare(TwoPoints(standardize_targets=True), RawConfig(), CPU, torch.float32)
    assert classes.target_scale is None
    assert classes.splits.test.targets.tolist() == [2]


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
    shared = Shared(limit=2, kept=0)
    first = shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32)
    assert shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32) is first
    shared.prepare(SpiralsConfig(), PolarConfig(), CPU, torch.float32)
    shared.prepare(SpiralsConfig(seed=1), RawConfig(), CPU, torch.float32)  # the oldest is no longer kept, but used
    assert shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32) is first
    assert loads == [0, 0, 1]
    shared.prepare(SpiralsConfig(seed=2), RawConfig(), CPU, torch.float32)
    shared.prepare(SpiralsConfig(seed=3), RawConfig(), CPU, torch.float32)
    del first
    shared.prepare(SpiralsConfig(), RawConfig(), CPU, torch.float32)
    assert loads == [0, 0, 1, 2, 3, 0]


def test_many_small_results_are_kept(monkeypatch):
    loads = []
    original = SpiralsConfig.load
    monkeypatch.setattr(SpiralsConfig, "load", lambda self: loads.append(self.seed) or original(self))
    bytes_of_one = 2 * (300 * 2 * 4 + 300 * 8) + 2 * (30 * 2 * 4 + 30 * 8)  # raw and extracted, of both splits
    for kept, again in ((4 * bytes_of_one, []), (4 * bytes_of_one - 1, [0])):
        shared = Shared(limit=2, kept=kept)
        loads.clear()
        for seed in (0, 1, 2, 3, 0):
            dataset = SpiralsConfig(points_per_class=100, test_points_per_class=10, seed=seed)
            assert shared.prepare(dataset, RawConfig(), CPU, torch.float32).bytes == bytes_of_one
        assert loads == [0, 1, 2, 3, *again]


def test_a_sweep_loads_its_dataset_once(deeprob, small, monkeypatch):
    loads = []
    original = SpiralsConfig.load
    monkeypatch.setattr(SpiralsConfig, "load", lambda self: loads.append(1) or original(self))
    assert deeprob("-m", *small, "seed=0,1,2", "optimizer.lr=1e-3,1e-2").status == 0
    assert len(loads) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("dataset", "features"),
    [
        (SpiralsConfig(points_per_class=20), RawConfig()),
        (SpiralsConfig(points_per_class=20, val_fraction=0.2), PolarConfig()),
        (SpiralsConfig(points_per_class=20, val_fraction=0.2), PcaConfig(components=1)),
        (RandomRegressionConfig(), RawConfig()),
        (RandomRegressionConfig(standardize_targets=True), RawConfig()),
        (Frame(), RawConfig()),
    ],
    ids=["raw", "computed", "fitted", "regression", "standardised", "table"],
)
def test_another_process_gets_what_this_one_has_prepared(tmp_path, monkeypatch, dataset, features, dtype):
    arguments = (dataset, features, CPU, dtype)
    here = Shared()
    prepared = here.prepare(*arguments)
    here.write(tmp_path)
    monkeypatch.setattr("deeprob.assembly.prepare.prepare", None)  # nothing is prepared again
    other = Shared(folder=tmp_path).prepare(*arguments)
    assert other.seconds == prepared.seconds
    for name in ("raw", "splits"):
        one, two = getattr(prepared, name), getattr(other, name)
        assert (one.classes, one.columns, one.target_columns) == (two.classes, two.columns, two.target_columns)
        assert one.encoding == two.encoding
        assert (one.val is None) == (two.val is None)
        for split in ("train", "val", "test"):
            if getattr(one, split) is not None:
                for part in ("inputs", "targets"):
                    mine, theirs = (getattr(getattr(splits, split), part) for splits in (one, two))
                    assert mine.dtype == theirs.dtype
                    assert torch.equal(mine, theirs)
    assert other.raw.told == ()  # the process that has read a table has told what it found
    inputs = prepared.splits.test.inputs
    assert torch.equal(prepared.features(inputs), other.features(inputs))
    assert other.fingerprint == prepared.fingerprint
    assert (other.target_scale is None) == (prepared.target_scale is None) == (not dataset.standardize_targets)
    if prepared.target_scale is not None:
        targets = prepared.splits.test.targets
        assert torch.equal(other.target_scale.restored(targets), prepared.target_scale.restored(targets))


@dataclass(kw_only=True, slots=True)
class Weighted(DatasetConfig):
    def load(self) -> Splits:
        numbers = torch.arange(4.0)[:, None]
        train = Examples.weighted(numbers, 10 * numbers.double(), torch.tensor([3, 0, 1, 2]))
        return Splits(train, None, Examples(numbers, numbers), ())


def test_weights_go_to_the_scales_to_training_and_to_other_processes(tmp_path):
    shared, config = Shared(), Weighted(standardize_targets=True)
    prepared = shared.prepare(config, RawConfig(), CPU, torch.float32)
    shared.write(tmp_path)
    other = Shared(folder=tmp_path).prepare(config, RawConfig(), CPU, torch.float32)
    for made in (prepared, other):
        assert made.features.standardize.mean.item() == pytest.approx(8 / 6)
        assert made.target_scale.mean.item() == pytest.approx(80 / 6)
        assert made.raw.train.weights.tolist() == made.training.train.weights.tolist() == [3, 1, 2]
        assert made.raw.test.weights is None
    assert other is not prepared


def test_what_another_process_has_not_prepared_is_prepared_here(tmp_path):
    here = Shared()
    here.prepare(SpiralsConfig(points_per_class=20), RawConfig(), CPU, torch.float32)
    here.write(tmp_path)
    other = Shared(folder=tmp_path).prepare(SpiralsConfig(points_per_class=30), RawConfig(), CPU, torch.float32)
    assert len(other.raw.train) == 90


def test_each_result_is_written_once(tmp_path):
    here = Shared()
    for points in (20, 30):
        here.prepare(SpiralsConfig(points_per_class=points), RawConfig(), CPU, torch.float32)
        here.write(tmp_path)
        files = {file: file.stat().st_ino for file in tmp_path.glob("*.tensors")}
        here.write(tmp_path)
        assert {file: file.stat().st_ino for file in tmp_path.glob("*.tensors")} == files
    assert len(files) == 2


def test_a_damaged_file_of_another_process_is_no_harm(tmp_path, capsys):
    here, arguments = Shared(), (SpiralsConfig(points_per_class=20), RawConfig(), CPU, torch.float32)
    prepared = here.prepare(*arguments)
    here.write(tmp_path)
    (file,) = tmp_path.glob("*.tensors")
    file.write_bytes(file.read_bytes()[:-100])
    other = Shared(folder=tmp_path).prepare(*arguments)
    assert torch.equal(other.raw.train.inputs, prepared.raw.train.inputs)
    assert (
        capsys.readouterr().err == f"note: {file}: damaged, or not a file of deeprob; its content is computed again\n"
    )


def test_another_process_finds_data_from_python(tmp_path):
    data = Given(Table("data", ("x", "kind"), (Column(numbers=np.arange(6.0)), Column(numbers=np.arange(6.0) % 2))))
    digest = data.found().digest
    Shared(given=(data,)).write(tmp_path / "exchange")
    pickled = pickle.dumps(Shared(given=(data,)))
    del data
    gc.collect()
    for begin in (lambda: Shared(folder=tmp_path / "exchange"), lambda: pickle.loads(pickled)):
        with pytest.raises(UserError, match="are not here"):
            GivenConfig(digest=digest).load()
        shared = begin()
        assert len(GivenConfig(digest=digest, test_fraction=0.5).load().test) == 3
        del shared
        gc.collect()
