"""Load data and fit features for training. If several runs share data and features, this is done only once."""

import functools
import hashlib
import json
import pickle
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from deeprob.config.failures import failing
from deeprob.data import DatasetConfig, Encoding, Examples, Splits
from deeprob.data.given import Given
from deeprob.errors import one_line, printable
from deeprob.features import Features, FeaturesConfig, Standardize, extraction
from deeprob.tracking.cache import Cache, Damaged, fingerprint
from deeprob.tracking.checkpoint_file import alike
from deeprob.tracking.console import note
from deeprob.tracking.run_dir import json_text
from deeprob.training.training_data import TrainingData

_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Prepared:
    """A dataset and its extracted features.

    Attributes
    ----------
    raw
        The raw splits, as they were loaded.
    features
        The features. They are fitted on the training split only, and are on the device.
    splits
        The extracted features of every split, on the device. Targets that are numbers are in the units trained.
    seconds
        The time for fitting and extraction.
    target_scale
        The standardisation of the targets, on the device. None if targets are not standardised.
    """

    raw: Splits
    features: Features
    splits: Splits
    seconds: float
    target_scale: Standardize | None = None

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one raw input."""
        return tuple(self.raw.train.inputs.shape[1:])

    @functools.cached_property
    def columns_text(self) -> str | None:
        """The content of ``columns.json``, which many runs write; None if the dataset is not a table."""
        return None if self.raw.encoding is None else json_text(self.raw.encoding.to_json())

    @functools.cached_property
    def bytes(self) -> int:
        """The size of all inputs and targets."""
        parts = [getattr(splits, name) for splits in (self.raw, self.splits) for name in _SPLITS]
        return sum(part.inputs.nbytes + part.targets.nbytes for part in parts if part is not None)

    @functools.cached_property
    def training(self) -> TrainingData:
        """The splits for training."""
        deviation = None if self.target_scale is None else self.target_scale.deviation
        return TrainingData(self.features, self.splits.train, self.splits.val, deviation)

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the raw training inputs."""
        return fingerprint(self.raw.train.inputs)

    def tensors(self) -> dict[str, Tensor]:
        """Return all content as named tensors, from which `of` makes an equal object."""
        encoding = None if self.raw.encoding is None else self.raw.encoding.to_json()
        words = [self.raw.classes, self.raw.columns, self.raw.target_columns, encoding]
        tensors = {
            "words": torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            **{f"state.{name}": value for name, value in self.features.state_dict().items()},
        }
        if self.target_scale is not None:
            tensors |= {f"targets.{name}": value for name, value in self.target_scale.state_dict().items()}
        for name in _SPLITS:
            raw, extracted = getattr(self.raw, name), getattr(self.splits, name)
            if raw is not None:
                tensors |= {f"{name}.inputs": raw.inputs, f"{name}.targets": raw.targets}
                if raw.weights is not None:
                    tensors[f"{name}.weights"] = raw.weights
                if not self.features.unchanged:
                    tensors[f"{name}.features"] = extracted.inputs
        return tensors

    @classmethod
    def of(
        cls, tensors: Mapping[str, Tensor], features: FeaturesConfig, device: torch.device, dtype: torch.dtype
    ) -> "Prepared":
        """Return the object whose content is `tensors`. `features` is the config of its features."""
        classes, columns, target_columns, encoding = json.loads(tensors["words"].numpy().tobytes())
        train, val, test = (
            Examples(tensors[f"{name}.inputs"], tensors[f"{name}.targets"], tensors.get(f"{name}.weights"))
            if f"{name}.inputs" in tensors
            else None
            for name in _SPLITS
        )
        assert train is not None
        assert test is not None
        encoding = None if encoding is None else Encoding.from_json(encoding)
        raw = Splits(train, val, test, tuple(classes), tuple(columns), tuple(target_columns), encoding)
        fitted = features.make(tuple(raw.train.inputs.shape[1:])).to(device, dtype)
        fitted.load_state_dict(_below("state.", tensors))
        scale = None
        if numbers := _below("targets.", tensors):
            scale = Standardize(tuple(numbers["mean"].shape), "feature").to(dtype=dtype)
            scale.load_state_dict(numbers)

        def extracted(name: str, examples: Examples) -> Examples:
            inputs = tensors.get(f"{name}.features", examples.inputs)
            return for_training(replace(examples, inputs=inputs), scale, dtype).to(device)

        splits = Splits(
            extracted("train", train),
            None if val is None else extracted("val", val),
            extracted("test", test),
            raw.classes,
        )
        return cls(raw, fitted, splits, tensors["seconds"].item(), None if scale is None else scale.to(device))


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, under the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def for_training(examples: Examples, scale: Standardize | None, dtype: torch.dtype) -> Examples:
    """Return examples for batches of type `dtype`. If `scale` is given, it standardises the targets."""
    targets = examples.targets if scale is None else scale(examples.targets.double())
    return replace(examples, targets=targets).for_batches(dtype)


def prepare(
    dataset: DatasetConfig,
    features: FeaturesConfig,
    device: torch.device,
    dtype: torch.dtype,
    learned: Mapping[str, Tensor] | None = None,
) -> Prepared:
    """Load a dataset, fit features on its training split, and extract the features of all splits.

    Features in the cache are not computed again. `learned` has the fitted features of a checkpoint. They are
    reused, because a new fit on another device would have other rounding errors. But if the shapes of `learned` are
    wrong, the features are fitted again.

    Raises
    ------
    UserError
        If the dataset cannot be read or split, or if the features do not support its inputs.
    """
    with failing(dataset, "load"):
        raw = dataset.load()
    began = time.perf_counter()
    with failing(features):
        fitted = features.make(tuple(raw.train.inputs.shape[1:])).to(device, dtype)
    scale = None
    if dataset.standardize_targets and not raw.classes:
        scale = Standardize(tuple(raw.train.targets.shape[1:]), "feature").to(dtype=dtype)
        scale.fit(raw.train.targets.double(), weights=raw.train.weights)

    def ready(inputs: Tensor, examples: Examples) -> Examples:
        return for_training(replace(examples, inputs=inputs), scale, dtype).to(device)

    def extracted(examples: Examples) -> Examples:
        return ready(extraction.extract(fitted, examples.inputs), examples)

    state = None if learned is None else fitted.widened(learned)
    if state is None or not alike(state, fitted.state_dict()):
        train_inputs = extraction.fit(fitted, raw.train.inputs, raw.train.weights)
    else:
        fitted.load_state_dict(state)
        train_inputs = extraction.extract(fitted, raw.train.inputs)
    train = ready(train_inputs, raw.train)
    val = None if raw.val is None else extracted(raw.val)
    splits = Splits(train, val, train if raw.test is raw.train else extracted(raw.test), raw.classes)
    scale = None if scale is None else scale.to(device)
    return Prepared(raw, fitted, splits, time.perf_counter() - began, scale)


KEPT = 2**28
"""The size in bytes up to which `Shared` keeps results that no run uses."""


class Shared:
    """Keeps the last results of `prepare`, so that several runs of one process share data and features.

    A result is kept as long as a run uses it. The last `limit` results are kept in any case, and more of them if all
    together are small: the folds of a table are prepared once, however many stacks train on them.

    Parameters
    ----------
    limit
        The number of results that are kept, whatever their size.
    kept
        The size in bytes up to which more results are kept.
    folder
        The folder in which another process has written its results with `write`. They are mapped into memory.
    given
        The data that were given from Python. They are found as long as this object lives, also in another process.
    """

    def __init__(
        self, limit: int = 4, folder: Path | None = None, kept: int = KEPT, given: tuple[Given, ...] = ()
    ) -> None:
        self._folder = folder
        self._given = given if folder is None else (*given, *_read_given(folder))
        self._kept: dict[str, Prepared] = {}
        self._used: weakref.WeakValueDictionary[str, Prepared] = weakref.WeakValueDictionary()
        self._notes: set[str] = set()
        self._limit, self._most = limit, kept

    def __reduce__(self) -> tuple[type[Self], tuple[int, Path | None, int, tuple[Given, ...]]]:
        """Return how to make a copy in another process, which keeps no results yet."""
        return type(self), (self._limit, self._folder, self._most, self._given)

    def note_once(self, line: str) -> None:
        """Print a note, unless another run has printed it."""
        if line not in self._notes:
            self._notes.add(line)
            note(line)

    def prepare(
        self,
        dataset: DatasetConfig,
        features: FeaturesConfig,
        device: torch.device,
        dtype: torch.dtype,
        learned: Mapping[str, Tensor] | None = None,
    ) -> Prepared:
        """Return the result of the function `prepare`.

        A result that was kept for the same arguments is not computed again.
        """
        state = [(name, fingerprint(value)) for name, value in (learned or {}).items()]
        key = repr((dataset, features, device, dtype, state))
        found = self._used.get(key)
        if found is None:
            found = self._read(key, features, device, dtype) or prepare(dataset, features, device, dtype, learned)
            self._tell(found.raw.told)
        self._used[key] = self._kept[key] = found
        while len(self._kept) > self._limit and sum(kept.bytes for kept in self._kept.values()) > self._most:
            del self._kept[next(iter(self._kept))]
        return found

    def _tell(self, lines: Sequence[str]) -> None:
        """Print lines about a dataset, unless another run has printed lines with the same first line."""
        if lines and lines[0] not in self._notes:
            self._notes.add(lines[0])
            note("\n  ".join(map(printable, lines)))

    def write(self, folder: Path) -> None:
        """Write all results to a folder, from which `Shared` in other processes reads them. Existing files are kept."""
        if self._given:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / GIVEN).write_bytes(pickle.dumps(self._given))
        cache = Cache(folder)
        for key, prepared in self._kept.items():
            if not cache.path(_hash(key)).exists():
                cache.put(_hash(key), prepared.tensors())

    def _read(self, key: str, features: FeaturesConfig, device: torch.device, dtype: torch.dtype) -> Prepared | None:
        """Return the result that another process has written for the same arguments; None if there is none."""
        if self._folder is None:
            return None
        try:
            tensors = Cache(self._folder).get(_hash(key))
        except Damaged as error:
            note(f"{one_line(error)}; its content is computed again")
            return None
        return None if tensors is None else Prepared.of(tensors, features, device, dtype)


GIVEN = "given.pickle"
"""The file with the data that were given from Python. The sweep has made its folder, which nobody else may write to."""


def _read_given(folder: Path) -> tuple[Given, ...]:
    """Return the given data that another process has written; empty if there are none."""
    path = folder / GIVEN
    found: tuple[Given, ...] = pickle.loads(path.read_bytes()) if path.exists() else ()
    return found


def _hash(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
