"""The objective L(W) = data loss + λR(W), its losses and its regularizers."""

from deeprob.objective.losses import CrossEntropyConfig, Loss, LossConfig
from deeprob.objective.objective import Objective, Parts
from deeprob.objective.regularizers import L2Config, NoneConfig, Regularizer, RegularizerConfig

__all__ = [
    "CrossEntropyConfig",
    "L2Config",
    "Loss",
    "LossConfig",
    "NoneConfig",
    "Objective",
    "Parts",
    "Regularizer",
    "RegularizerConfig",
]
