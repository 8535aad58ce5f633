"""Features: what turns raw inputs into what the model sees, fitted on the training split alone."""

from deeprob.features.base import Features, FeaturesConfig, Standardize
from deeprob.features.polar import PolarConfig
from deeprob.features.raw import RawConfig

__all__ = ["Features", "FeaturesConfig", "PolarConfig", "RawConfig", "Standardize"]
