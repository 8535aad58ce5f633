"""Finished runs: load a run, apply its model to new inputs, and measure it again."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprob import config as configs
from deeprob.assembly.allocation import NoLargerThan
from deeprob.assembly.config import RunConfig
from deeprob.assembly.inputs import Inputs, as_tensor
from deeprob.assembly.python_data import new_rows, typed_table
from deeprob.assembly.setup import build_loss, build_predictor
from deeprob.data import Encoding, Examples, GivenConfig, Splits
from deeprob.data.frames import is_frame, table_of
from deeprob.errors import UserError, first_few, memory_errors
from deeprob.features import Standardize, extraction
from deeprob.models import Model
from deeprob.tracking import checkpoint_file
from deeprob.tracking.cache import fingerprint
from deeprob.tracking.checkpoint_file import alike
from deeprob.tracking.console import note
from deeprob.tracking.device import resolve_device
from deeprob.tracking.run_dir import runs_below
from deeprob.training import Predictor, TrainerConfig, evaluate
from deeprob.training.metrics import regularized

CHECKPOINTS = ("best", "last")
SPLITS = ("train", "val", "test")
MOST_DIMENSIONS = 64  # most dimensions of an input in NumPy; PyTorch's time grows with the square of this number


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    directory, config, metrics
        The directory, the config, and the content of ``summary.json``.
    predictor
        The features and the model, loaded from the checkpoint.
    raw
        The dataset with its raw inputs; None if it is not loaded yet.
    extracted
        The dataset with extracted features in place of inputs; None if they are not computed yet.
    seal
        A hash of the raw training inputs (see `fingerprint`); None if it is not known. It shows whether the dataset has
        changed since the run was trained.
    """

    directory: Path
    config: RunConfig
    metrics: Mapping[str, Any]
    predictor: Predictor
    raw: Splits | None = field(default=None, repr=False)
    extracted: Splits | None = field(default=None, repr=False)
    seal: str | None = field(default=None, repr=False)

    @property
    def model(self) -> Model:
        """The model. It takes the result of the method `features`, not the raw inputs."""
        return self.predictor.model

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return self.predictor.classes

    @property
    def encoding(self) -> Encoding | None:
        """What the columns of a table became; None if the dataset is not a table."""
        return self.predictor.encoding

    @property
    def frame(self) -> tuple[int, tuple[str, ...], tuple[int, ...]]:
        """The number of outputs, the class names and the input shape of the model."""
        return self.predictor.outputs, self.classes, self.predictor.input_shape

    def data(self) -> Splits:
        """Return the run's raw dataset, with the same splits as in the run.

        The first call loads the dataset, unless it is loaded already. Further calls return the same object.

        Raises
        ------
        UserError
            If the classes, the number of outputs or the shape of the inputs have changed since the run was trained.
        """
        return self.raw or self._loaded

    @functools.cached_property
    def _loaded(self) -> Splits:
        dataset = self.config.dataset
        if isinstance(dataset, GivenConfig) and not dataset.is_here:
            raise UserError(self._data_are_gone(dataset))
        with memory_errors():
            data = dataset.load()
        if (data.outputs, data.classes, tuple(data.train.inputs.shape[1:])) != self.frame:
            names = f"{len(self.classes)} classes ({', '.join(self.classes[:3])}, …)"
            raise UserError(
                f"{self.directory}: the dataset is no longer that of the run, which had "
                f"{names if self.classes else f'{self.predictor.outputs} target(s)'} "
                f"of inputs {list(self.predictor.input_shape)}"
            )
        own = self.predictor.encoding
        if own is not None and data.encoding is not None and own.names != data.encoding.names:
            raise UserError(
                f"{self.directory}: the dataset is no longer that of the run, which had the inputs "
                f"{first_few(own.names)}, and not {first_few(data.encoding.names)}"
            )
        if self.seal not in (None, fingerprint(data.train.inputs)):
            note(f"{self.directory}: the training inputs have changed since the run was trained")
        return data

    def _data_are_gone(self, dataset: GivenConfig) -> str:
        """Return the message that the run needs the data that were given from Python, and what to type."""
        others = [name for name in ("test", "val") if getattr(dataset, name) is not None]
        words = [repr(str(self.directory)), "data=(X, y)", *(f"{name}=(X_{name}, y_{name})" for name in others)]
        again = f"deeprob.load_run({', '.join(words)})"
        return f"{self.directory}: the data were given from Python, and are not here; give them again: {again}"

    def examples(self, split: str) -> Examples:
        """Return the raw examples of a split.

        Raises
        ------
        UserError
            If the run has no such split.
        """
        if split not in SPLITS:
            raise UserError(f"split={split}: expected one of {', '.join(SPLITS)}")
        examples: Examples | None = getattr(self.data(), split)
        if examples is None:
            raise UserError(f"split={split}: {self.directory} has no such split; choose train or test")
        return examples

    @torch.no_grad()
    def features_of(self, split: str, places: Tensor | slice = slice(None)) -> Tensor:
        """Return the model's inputs (n, …) for the examples of a split.

        `places` selects examples: a slice, or indices (n,). The result equals `features` of the raw inputs. If the
        run or the cache has the extracted features already, nothing is extracted again.

        Raises
        ------
        UserError
            If the run has no such split.
        """
        seen: Tensor = self.predictor.features(self._extracted(split, places).inputs)
        return seen

    @torch.no_grad()
    def features(self, inputs: Inputs) -> Tensor:
        """Return the standardised features of raw inputs (N, …). The model takes these features.

        Raises
        ------
        UserError
            If the shape, type or values of the inputs are invalid for the run (see `as_tensor`).
        """
        seen: Tensor = self.predictor.features(self._extract(inputs))
        return seen

    @torch.no_grad()
    def __call__(self, inputs: Inputs) -> Tensor:
        """Return scores (N, C) of raw inputs (N, …), where C is the number of classes or of predicted numbers.

        If the run was trained on a table, the inputs may also be a data frame, or a dictionary of columns, with the
        columns of the table. They are encoded as the training rows were.

        Predicted numbers are in the units of the dataset. If targets were standardised, they are float64.

        Raises
        ------
        UserError
            See `features`.
        """
        return self.predictor.predicted(self._extract(inputs))

    def predict(self, inputs: Inputs) -> npt.NDArray[Any]:
        """Return what the run predicts for raw inputs (N, …), as an array of NumPy.

        For classes, it holds the name (N,) of the class with the largest score; if the labels were given from Python,
        it holds the label, in its own type. For numbers, it holds float64 in the units of the dataset: (N,), or (N, T)
        if the run predicts T > 1 numbers.

        Raises
        ------
        UserError
            See `features`.
        """
        scores = self.scores_of(inputs)
        if self.classes:
            labels: npt.NDArray[Any] = self.config.dataset.labels_of(self.classes)[scores.argmax(1).numpy()]
            return labels
        numbers: npt.NDArray[Any] = scores.double().numpy()
        return numbers[:, 0] if self.predictor.outputs == 1 else numbers

    def probabilities(self, inputs: Inputs) -> npt.NDArray[np.float64]:
        """Return the probabilities (N, C) of the classes for raw inputs (N, …). The sum of each row is 1.

        Raises
        ------
        UserError
            If the run predicts numbers, if its loss makes no probabilities, or see `features`.
        """
        self.check_probabilities()
        shares: npt.NDArray[np.float64] = self.scores_of(inputs).double().softmax(1).numpy()
        return shares

    @property
    def has_probabilities(self) -> bool:
        """Whether the softmax of the scores estimates the probabilities of the classes (see `Loss.probabilities`)."""
        return bool(self.classes) and self.config.loss.build().probabilities

    def check_probabilities(self) -> None:
        """Raise a `UserError` if the run has no probabilities."""
        if not self.classes:
            raise UserError(f"{self.directory}: predicts numbers, which have no probabilities; use predict")
        if not self.has_probabilities:
            known = [name for name, loss in configs.options("loss").items() if loss().build().probabilities]
            raise UserError(
                f"{self.directory}: loss={configs.name_of(self.config.loss)} makes no probabilities; "
                f"train with loss={' or loss='.join(known)}, or use predict"
            )

    @torch.no_grad()
    def scores_of(self, inputs: Inputs) -> Tensor:
        """Return the scores (N, C) of raw inputs (N, …) like `__call__`, but in chunks and in the memory of the CPU.

        Raises
        ------
        UserError
            See `features`.
        """
        chunks = torch.split(self._raw(inputs), self._chunk)
        return torch.cat([self.predictor.predicted(self._extract_raw(chunk)).cpu() for chunk in chunks])

    def in_training_units(self, numbers: Tensor) -> Tensor:
        """Return targets or predictions (N, C), given in the units of the dataset, in the units trained.

        Class numbers (N,) stay unchanged.
        """
        scale = self.predictor.target_scale
        if scale is None:
            return numbers
        standardized: Tensor = scale(numbers.to(self._device).double())
        return standardized

    def evaluate(self, split: str = "test") -> dict[str, float]:
        """Return the ``loss`` of a split in the units trained, and its measures, such as the ``accuracy``.

        For the training split, the loss is L(W), and its two terms are returned too (see
        `deeprob.training.metrics.regularized`).

        Raises
        ------
        UserError
            If the run has no such split.
        """
        loss = build_loss(self.config.loss, self.data())
        scoring = self.predictor.scoring(loss)
        measured = evaluate(self.predictor.scores, self._extracted(split), loss, self._chunk, scoring)
        if split != "train":
            return measured
        return regularized(measured, self.config.regularizer.build(), dict(self.model.named_parameters()))

    @torch.no_grad()
    def scores(self, split: str = "test") -> Tensor:
        """Return the scores (N, C) of a split. Predicted numbers are in the units of the dataset.

        Raises
        ------
        UserError
            If the run has no such split.
        """
        chunks = torch.split(self._extracted(split).inputs, self._chunk)
        return torch.cat([self.predictor.predicted(chunk) for chunk in chunks])

    def _extract(self, inputs: Inputs) -> Tensor:
        """Return the extracted features of raw inputs (N, …) or of the rows of a data frame, on the device."""
        return self._extract_raw(self._raw(inputs))

    def _raw(self, inputs: Inputs) -> Tensor:
        """Return raw inputs (N, …), or the encoded rows of a data frame, as a tensor."""
        encoding = self.predictor.encoding
        given = isinstance(self.config.dataset, GivenConfig)
        if encoding is not None and is_frame(inputs):
            inputs = encoding.encode(typed_table(inputs, "inputs") if given else table_of(inputs))
        elif encoding is not None and given and (rows := new_rows(inputs, encoding)) is not None:
            inputs = encoding.encode(rows)
        return as_tensor(inputs, self.predictor.input_shape)

    def _extract_raw(self, raw: Tensor) -> Tensor:
        return self.predictor.features.extract(raw).to(self._device)

    def _extracted(self, split: str, places: Tensor | slice = slice(None)) -> Examples:
        """Return the examples of a split at `places`, on the device: extracted features, and targets as trained."""
        examples = self.examples(split)
        known: Examples | None = None if self.extracted is None else getattr(self.extracted, split)
        chosen = examples if known is None else known
        chosen = chosen[places if isinstance(places, slice) else places.to(chosen.targets.device)]
        if known is None:
            inputs = extraction.extract(self.predictor.features, chosen.inputs)
            targets = self.in_training_units(chosen.targets)
            chosen = replace(chosen, inputs=inputs, targets=targets).for_batches(self.predictor.features.like.dtype)
        return chosen.to(self._device)

    @property
    def _chunk(self) -> int:
        """The number of examples that go through the model together."""
        chunk = self.config.trainer.chunk_size
        return chunk if isinstance(chunk, int) else self.predictor.chunk_size()

    @property
    def _device(self) -> torch.device:
        return self.predictor.features.like.device


def load_run(directory: str | Path, checkpoint_name: str = "best", device: str = "cpu") -> Run:
    """Return the run in a directory, with the model from one of its checkpoints.

    Parameters
    ----------
    directory
        The directory of a run.
    checkpoint_name
        ``best`` or ``last``.
    device
        ``cpu``, ``cuda`` or ``auto``.

    Raises
    ------
    UserError
        If the directory holds no run, if its files are damaged, or if its config and its checkpoint do not belong
        together.
    """
    directory = Path(directory)
    for problem in TrainerConfig(device=device).problems():
        raise UserError(problem)
    if not (directory / "config.yaml").is_file():
        if found := runs_below(directory):
            names = first_few([str(path) for path in found])
            raise UserError(
                f"{directory}: no run, but a folder of runs; choose from {names}, or try deeprob-compare {directory}"
            )
        raise UserError(f"{directory}: no run there (no config.yaml); expected a directory that deeprob-train made")
    config = configs.read(RunConfig, directory / "config.yaml")
    path = directory / "checkpoints" / f"{checkpoint_name}.pt"
    content = checkpoint_file.load_newest(path)
    try:
        shape, outputs, classes = content["input_shape"], content["outputs"], content["classes"]
        if not all(isinstance(name, str) for name in classes):
            raise TypeError("a class without a name")
        if len(shape) > MOST_DIMENSIONS:
            raise ValueError("inputs with too many dimensions")
        with NoLargerThan([*content["features"].values(), *content["model"].values()]):
            scale = Standardize((outputs,), "feature") if "targets" in content else None
            table = content.get("encoding")  # only of runs on tables, and not of earlier versions
            encoding = None if table is None else Encoding.from_json(table)
            raw = config.features.make(tuple(shape))
            predictor = build_predictor(config, raw, shape, outputs, classes, scale, encoding)
        predictor.to(torch.device("cpu"), config.trainer.dtype)
        content["features"] = predictor.features.widened(content["features"])
        for name, part in (("features", predictor.features), ("model", predictor.model)):
            if not alike(content[name], part.state_dict()):
                raise ValueError(f"{name} of another run")
        if scale is not None and not alike(content["targets"], scale.state_dict()):
            raise ValueError("targets of another run")
        predictor.load_state_dict(content)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path}: does not belong to {directory / 'config.yaml'}") from error
    predictor.to(resolve_device(device), config.trainer.dtype)
    predictor.model.eval()
    return Run(directory, config, _summary(directory / "summary.json"), predictor, seal=content.get("inputs"))


def _summary(path: Path) -> dict[str, Any]:
    """Return the content of ``summary.json``. If there is no such file yet, return an empty dictionary."""
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if not isinstance(content, dict):
            raise TypeError("no object")
    except (RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged, or not a JSON file of a run") from error
    return content
