"""The objective L(W) = data loss + λR(W), its losses and its regularizers."""

from deeprob.objective.losses import (
    ClassLossConfig,
    CrossEntropyConfig,
    FocalConfig,
    HingeConfig,
    HuberConfig,
    Loss,
    LossConfig,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
)
from deeprob.objective.objective import Objective, Parts, weights
from deeprob.objective.regularizers import (
    ElasticNetConfig,
    L1Config,
    L2Config,
    NoneConfig,
    Regularizer,
    RegularizerConfig,
)

__all__ = [
    "ClassLossConfig",
    "CrossEntropyConfig",
    "ElasticNetConfig",
    "FocalConfig",
    "HingeConfig",
    "HuberConfig",
    "L1Config",
    "L2Config",
    "Loss",
    "LossConfig",
    "NoneConfig",
    "Objective",
    "OneVsAllHingeConfig",
    "Parts",
    "Regularizer",
    "RegularizerConfig",
    "SquaredErrorConfig",
    "SquaredHingeConfig",
    "weights",
]
