"""Finished runs: load one, use its classifier on new inputs, measure it again."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING
from torch import Tensor

from deeprob import config as configs
from deeprob.config import choice, register
from deeprob.data import Examples, Splits
from deeprob.errors import UserError
from deeprob.experiment import RunConfig, build_classifier, resolve_device
from deeprob.models import Model
from deeprob.tracking import console
from deeprob.training import Classifier, TrainerConfig, checkpoint, evaluate
from deeprob.training.config import DEVICES

CHECKPOINTS = ("best", "last")
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    directory, config, metrics
        Where it lies, what it was told, and the content of its ``summary.json``.
    classifier
        Features and model with the checkpoint's values.
    """

    directory: Path
    config: RunConfig
    metrics: Mapping[str, Any]
    classifier: Classifier

    @property
    def model(self) -> Model:
        """The model alone, which expects what `features` returns."""
        return self.classifier.model

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names."""
        return self.classifier.classes

    def data(self) -> Splits:
        """Load the run's dataset, raw, as it was split for the run."""
        return self.config.dataset.load()

    @torch.no_grad()
    def features(self, inputs: Tensor) -> Tensor:
        """Return what the model sees of raw inputs (N, …), standardisation included."""
        features = self.classifier.features
        seen: Tensor = features(features.extract(inputs).to(self._device))
        return seen

    @torch.no_grad()
    def __call__(self, inputs: Tensor) -> Tensor:
        """Return class scores (N, C) of raw inputs (N, …)."""
        return self.classifier.scores(self.classifier.features.extract(inputs).to(self._device))

    def evaluate(self, split: str = "test") -> dict[str, float]:
        """Measure a split again: ``loss`` and ``accuracy``.

        Raises
        ------
        UserError
            When the run held out no such split.
        """
        if split not in SPLITS:
            raise UserError(f"split={split}: expected one of {', '.join(SPLITS)}")
        data = self.data()
        shape = tuple(data.train.inputs.shape[1:])
        if (data.classes, shape) != (self.classes, self.classifier.input_shape):
            raise UserError(
                f"{self.directory}: the dataset is no longer that of the run, which had {len(self.classes)} classes "
                f"({', '.join(self.classes[:3])}, …) of inputs {list(self.classifier.input_shape)}"
            )
        examples = getattr(data, split)
        if examples is None:
            raise UserError(f"split={split}: {self.directory} held out none; choose train or test")
        chunk = self.config.trainer.chunk_size
        chunk = chunk if isinstance(chunk, int) else self.classifier.chunk_size()
        extracted = Examples(self.classifier.features.extract(examples.inputs), examples.targets)
        return evaluate(self.classifier.scores, extracted.to(self._device), self.config.loss.build(), chunk)

    @property
    def _device(self) -> torch.device:
        return self.classifier.features.standardize.mean.device


def load_run(directory: str | Path, checkpoint_name: str = "best", device: str = "cpu") -> Run:
    """Open a run directory.

    Parameters
    ----------
    directory
        A run's directory.
    checkpoint_name
        ``best`` or ``last``.
    device
        ``cpu``, ``cuda`` or ``auto``.

    Raises
    ------
    UserError
        When the directory holds no run, or its files are damaged or do not belong together.
    """
    directory = Path(directory)
    for problem in TrainerConfig(device=device).problems():
        raise UserError(problem)
    if not (directory / "config.yaml").is_file():
        raise UserError(f"{directory}: no run there (no config.yaml); expected a directory that deeprob-train made")
    config = configs.read(RunConfig, directory / "config.yaml")
    path = directory / "checkpoints" / f"{checkpoint_name}.pt"
    content = checkpoint.load(path)
    try:
        classifier = build_classifier(config, content["input_shape"], content["classes"])
        classifier.to(torch.device("cpu"), config.trainer.dtype)
        classifier.load_state_dict(content)
    except (KeyError, RuntimeError, TypeError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: does not belong to {directory / 'config.yaml'}") from error
    classifier.to(resolve_device(device), config.trainer.dtype)
    classifier.model.eval()
    summary = directory / "summary.json"
    try:
        metrics = json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {}
    except ValueError as error:
        raise UserError(f"{summary}: not JSON, or damaged") from error
    return Run(directory, config, metrics, classifier)


@register("", "evaluate")
@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """Which run to measure, on what."""

    run: str = MISSING
    checkpoint: str = choice("best", among=CHECKPOINTS)
    split: str = choice("test", among=SPLITS)
    device: str = choice("auto", among=DEVICES)


def evaluate_run(config: EvaluateConfig) -> dict[str, float]:
    """Measure a run again and print the table."""
    run = load_run(config.run, config.checkpoint, config.device)
    measured = {f"{config.split}/{name}": value for name, value in run.evaluate(config.split).items()}
    console.split_table(measured)
    print(f"run        {config.run} ({config.checkpoint} checkpoint)")
    return measured
