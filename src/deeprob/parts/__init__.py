"""All that the author of an own part imports, as in ``from deeprob.parts import ModelConfig, Model, register``.

`deeprob.parts.protocols` says what a part of each group has to keep, and ``deeprob-check-part`` tries it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deeprob import randomness
    from deeprob.analysis.surfaces import SurfaceConfig
    from deeprob.assembly.finished import Run
    from deeprob.config import choice, number, one_word, register, some_words
    from deeprob.data import DatasetConfig, Examples, Splits
    from deeprob.errors import UserError
    from deeprob.features import Features, FeaturesConfig
    from deeprob.figures import FigureConfig
    from deeprob.figures.style import drawn
    from deeprob.models import Model, ModelConfig
    from deeprob.objective import ClassLossConfig, Loss, LossConfig, Regularizer, RegularizerConfig
    from deeprob.optim import OptimizerConfig, Schedule, SchedulerConfig
    from deeprob.optim.base import decay_groups
    from deeprob.training.trackers import Tracker, TrackerConfig

__all__ = [
    "ClassLossConfig",
    "DatasetConfig",
    "Examples",
    "Features",
    "FeaturesConfig",
    "FigureConfig",
    "Loss",
    "LossConfig",
    "Model",
    "ModelConfig",
    "OptimizerConfig",
    "Regularizer",
    "RegularizerConfig",
    "Run",
    "Schedule",
    "SchedulerConfig",
    "Splits",
    "SurfaceConfig",
    "Tracker",
    "TrackerConfig",
    "UserError",
    "choice",
    "decay_groups",
    "drawn",
    "number",
    "one_word",
    "randomness",
    "register",
    "some_words",
]

_HOMES = {
    "analysis.surfaces": ["SurfaceConfig"],
    "assembly.finished": ["Run"],
    "config": ["choice", "number", "one_word", "register", "some_words"],
    "data": ["DatasetConfig", "Examples", "Splits"],
    "errors": ["UserError"],
    "features": ["Features", "FeaturesConfig"],
    "figures": ["FigureConfig"],
    "figures.style": ["drawn"],
    "models": ["Model", "ModelConfig"],
    "objective": ["ClassLossConfig", "Loss", "LossConfig", "Regularizer", "RegularizerConfig"],
    "optim": ["OptimizerConfig", "Schedule", "SchedulerConfig"],
    "optim.base": ["decay_groups"],
    "training.trackers": ["Tracker", "TrackerConfig"],
}
"""The module of each name. A module is imported when one of its names is first used."""


def __getattr__(name: str) -> Any:
    if name == "randomness":
        return importlib.import_module("deeprob.randomness")
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"deeprob.{home}"), name)
