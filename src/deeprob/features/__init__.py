"""Features compute the model's inputs from raw inputs. They are fitted to the training split only."""

from deeprob.features.bag_of_words import BagOfWordsConfig
from deeprob.features.base import Features, FeaturesConfig, Standardize
from deeprob.features.chain import ChainConfig
from deeprob.features.color_histogram import ColorHistogramConfig
from deeprob.features.color_quantization import ColorQuantizationConfig
from deeprob.features.concat import ConcatConfig
from deeprob.features.fisher_vector import FisherVectorConfig
from deeprob.features.hog import HogConfig
from deeprob.features.pca import PcaConfig
from deeprob.features.piecewise_linear import PiecewiseLinearConfig
from deeprob.features.pixels import PixelsConfig
from deeprob.features.polar import PolarConfig
from deeprob.features.quantile import QuantileConfig
from deeprob.features.raw import RawConfig
from deeprob.features.whiten import WhitenConfig

__all__ = [
    "BagOfWordsConfig",
    "ChainConfig",
    "ColorHistogramConfig",
    "ColorQuantizationConfig",
    "ConcatConfig",
    "Features",
    "FeaturesConfig",
    "FisherVectorConfig",
    "HogConfig",
    "PcaConfig",
    "PiecewiseLinearConfig",
    "PixelsConfig",
    "PolarConfig",
    "QuantileConfig",
    "RawConfig",
    "Standardize",
    "WhitenConfig",
]
