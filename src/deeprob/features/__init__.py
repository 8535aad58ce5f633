"""Features: what turns raw inputs into what the model sees, fitted on the training split alone."""

from deeprob.features.base import Features, FeaturesConfig, Standardize
from deeprob.features.color_histogram import ColorHistogramConfig
from deeprob.features.color_quantization import ColorQuantizationConfig
from deeprob.features.concat import ConcatConfig
from deeprob.features.hog import HogConfig
from deeprob.features.pixels import PixelsConfig
from deeprob.features.polar import PolarConfig
from deeprob.features.raw import RawConfig

__all__ = [
    "ColorHistogramConfig",
    "ColorQuantizationConfig",
    "ConcatConfig",
    "Features",
    "FeaturesConfig",
    "HogConfig",
    "PixelsConfig",
    "PolarConfig",
    "RawConfig",
    "Standardize",
]
