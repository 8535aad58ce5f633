"""Load data and fit features for training. If several runs share data and features, this is done only once."""

import functools
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from deeprob.data import DatasetConfig, Examples, Splits
from deeprob.errors import one_line
from deeprob.features import Features, FeaturesConfig, extraction
from deeprob.tracking.cache import Cache, Damaged, fingerprint
from deeprob.tracking.checkpoint_file import alike
from deeprob.tracking.console import note

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
        The extracted features of every split, on the device.
    seconds
        The time for fitting and extraction.
    """

    raw: Splits
    features: Features
    splits: Splits
    seconds: float

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one raw input."""
        return tuple(self.raw.train.inputs.shape[1:])

    @functools.cached_property
    def fingerprint(self) -> str:
        """A hash of the raw training inputs."""
        return fingerprint(self.raw.train.inputs)

    def tensors(self) -> dict[str, Tensor]:
        """Return all content as named tensors, from which `of` makes an equal object."""
        words = [self.raw.classes, self.raw.columns, self.raw.target_columns]
        tensors = {
            "words": torch.frombuffer(bytearray(json.dumps(words).encode()), dtype=torch.uint8),
            "seconds": torch.tensor(self.seconds, dtype=torch.float64),
            **{f"state.{name}": value for name, value in self.features.state_dict().items()},
        }
        for name in _SPLITS:
            raw, extracted = getattr(self.raw, name), getattr(self.splits, name)
            if raw is not None:
                tensors |= {f"{name}.inputs": raw.inputs, f"{name}.targets": raw.targets}
                if not self.features.unchanged:
                    tensors[f"{name}.features"] = extracted.inputs
        return tensors

    @classmethod
    def of(
        cls, tensors: Mapping[str, Tensor], features: FeaturesConfig, device: torch.device, dtype: torch.dtype
    ) -> "Prepared":
        """Return the object whose content is `tensors`. `features` is the config of its features."""
        classes, columns, target_columns = json.loads(tensors["words"].numpy().tobytes())
        given: dict[str, Examples | None] = {}
        extracted: dict[str, Examples | None] = {}
        for name in _SPLITS:
            given[name] = extracted[name] = None
            if (inputs := tensors.get(f"{name}.inputs")) is not None:
                targets = tensors[f"{name}.targets"]
                given[name] = Examples(inputs, targets)
                prepared = Examples(tensors.get(f"{name}.features", inputs), targets)
                extracted[name] = prepared.for_batches(dtype).to(device)
        raw = Splits(**given, classes=tuple(classes), columns=tuple(columns), target_columns=tuple(target_columns))  # type: ignore[arg-type]
        fitted = features.make(tuple(raw.train.inputs.shape[1:])).to(device, dtype)
        state = {name.removeprefix("state."): value for name, value in tensors.items() if name.startswith("state.")}
        fitted.load_state_dict(state)
        return cls(raw, fitted, Splits(**extracted, classes=raw.classes), tensors["seconds"].item())  # type: ignore[arg-type]


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
    raw = dataset.load()
    began = time.perf_counter()
    fitted = features.make(tuple(raw.train.inputs.shape[1:])).to(device, dtype)

    def extracted(examples: Examples) -> Examples:
        inputs = extraction.extract(fitted, examples.inputs)
        return Examples(inputs, examples.targets).for_batches(dtype).to(device)

    state = None if learned is None else fitted.widened(learned)
    if state is None or not alike(state, fitted.state_dict()):
        train_inputs = extraction.fit(fitted, raw.train.inputs)
    else:
        fitted.load_state_dict(state)
        train_inputs = extraction.extract(fitted, raw.train.inputs)
    train = Examples(train_inputs, raw.train.targets).for_batches(dtype).to(device)
    val = None if raw.val is None else extracted(raw.val)
    splits = Splits(train, val, extracted(raw.test), raw.classes)
    return Prepared(raw, fitted, splits, time.perf_counter() - began)


class Shared:
    """Keeps the last results of `prepare`, so that several runs of one process share data and features.

    Parameters
    ----------
    limit
        The number of results to keep.
    folder
        The folder in which another process has written its results with `write`. They are mapped into memory.
    """

    def __init__(self, limit: int = 4, folder: Path | None = None) -> None:
        self._folder = folder
        self._kept: dict[str, Prepared] = {}
        self._notes: set[str] = set()
        self._limit = limit

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
        if key not in self._kept:
            if len(self._kept) == self._limit:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = self._read(key, features, device, dtype) or prepare(
                dataset, features, device, dtype, learned
            )
        return self._kept[key]

    def write(self, folder: Path) -> None:
        """Write all results to a folder, from which `Shared` in other processes reads them."""
        for key, prepared in self._kept.items():
            Cache(folder).put(_hash(key), prepared.tensors())

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


def _hash(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
