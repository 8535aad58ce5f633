"""Optimizers, each with its own config class, and learning-rate schedules.

Two optimizers of torch.optim are left out: SparseAdam (sparse gradients only) and Muon (matrices only).
"""

from deeprob.optim.adadelta import AdadeltaConfig
from deeprob.optim.adafactor import AdafactorConfig
from deeprob.optim.adagrad import AdagradConfig
from deeprob.optim.adam import AdamConfig
from deeprob.optim.adamax import AdamaxConfig
from deeprob.optim.adamw import AdamWConfig
from deeprob.optim.asgd import ASGDConfig
from deeprob.optim.base import OptimizerConfig
from deeprob.optim.lbfgs import LBFGSConfig
from deeprob.optim.nadam import NAdamConfig
from deeprob.optim.plateau import PlateauConfig
from deeprob.optim.radam import RAdamConfig
from deeprob.optim.rmsprop import RMSpropConfig
from deeprob.optim.rprop import RpropConfig
from deeprob.optim.schedules import (
    ConstantConfig,
    CosineConfig,
    ExponentialConfig,
    OneCycleConfig,
    Schedule,
    SchedulerConfig,
    StepConfig,
)
from deeprob.optim.sgd import SGDConfig

__all__ = [
    "ASGDConfig",
    "AdadeltaConfig",
    "AdafactorConfig",
    "AdagradConfig",
    "AdamConfig",
    "AdamWConfig",
    "AdamaxConfig",
    "ConstantConfig",
    "CosineConfig",
    "ExponentialConfig",
    "LBFGSConfig",
    "NAdamConfig",
    "OneCycleConfig",
    "OptimizerConfig",
    "PlateauConfig",
    "RAdamConfig",
    "RMSpropConfig",
    "RpropConfig",
    "SGDConfig",
    "Schedule",
    "SchedulerConfig",
    "StepConfig",
]
