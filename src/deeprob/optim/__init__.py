"""Optimizers, one config class each, and learning-rate schedules."""

from deeprob.optim.adamw import AdamWConfig
from deeprob.optim.base import OptimizerConfig
from deeprob.optim.lbfgs import LBFGSConfig
from deeprob.optim.schedules import ConstantConfig, CosineConfig, Schedule, SchedulerConfig
from deeprob.optim.sgd import SGDConfig

__all__ = [
    "AdamWConfig",
    "ConstantConfig",
    "CosineConfig",
    "LBFGSConfig",
    "OptimizerConfig",
    "SGDConfig",
    "Schedule",
    "SchedulerConfig",
]
