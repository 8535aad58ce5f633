"""Models: functions from inputs to class scores."""

from deeprob.models.base import Model, ModelConfig
from deeprob.models.linear import LinearConfig
from deeprob.models.mlp import MLPConfig

__all__ = ["LinearConfig", "MLPConfig", "Model", "ModelConfig"]
