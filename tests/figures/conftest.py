from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deeprob.assembly.config import RunConfig
from deeprob.assembly.finished import Run
from deeprob.assembly.setup import build_predictor
from deeprob.data import Examples, Splits
from deeprob.features import FeaturesConfig, RawConfig
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig
from deeprob.objective.regularizers import NoneConfig


@pytest.fixture
def run_on() -> Callable[..., Run]:
    """Return a run on pictures (N, C, H, W), which train it and test it, with its features fitted and nothing trained.

    Targets are 0, 1, 0, 1 … of as many classes as there are names.
    """

    def build(features: FeaturesConfig, pictures: Tensor, classes: Sequence[str] = ("cats", "dogs")) -> Run:
        targets = torch.arange(len(pictures)) % len(classes) if classes else torch.zeros(len(pictures), 1)
        examples = Examples(pictures, targets)
        config = RunConfig(features=features, model=LinearConfig(), loss=CrossEntropyConfig(), regularizer=NoneConfig())
        shape = pictures.shape[1:]
        built = features.make(tuple(shape))
        built.fit(pictures)
        predictor = build_predictor(config, built, shape, len(classes) or 1, classes)
        return Run(Path("run"), config, {}, predictor, Splits(examples, None, examples, tuple(classes)))

    return build


@pytest.fixture
def points(run_on) -> Run:
    """A run whose inputs are no pictures."""
    return run_on(RawConfig(), torch.randn(4, 2, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def photos() -> Tensor:
    """Six noisy pictures (6, 3, 16, 24), uint8."""
    return torch.randint(256, (6, 3, 16, 24), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
