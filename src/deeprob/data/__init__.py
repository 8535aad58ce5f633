"""Datasets and their splits, as tensors in memory."""

from deeprob.data.base import DatasetConfig
from deeprob.data.chevrons import ChevronsConfig
from deeprob.data.cifar10 import CIFAR10Config
from deeprob.data.circles import CirclesConfig
from deeprob.data.csv import CSVConfig
from deeprob.data.encoding import Encoding
from deeprob.data.examples import Examples, Splits
from deeprob.data.gaussians import GaussiansConfig
from deeprob.data.given import GivenConfig
from deeprob.data.image_folder import ImageFolderConfig
from deeprob.data.moons import MoonsConfig
from deeprob.data.random_regression import RandomRegressionConfig
from deeprob.data.spirals import SpiralsConfig
from deeprob.data.xor import XorConfig

__all__ = [
    "CIFAR10Config",
    "CSVConfig",
    "ChevronsConfig",
    "CirclesConfig",
    "DatasetConfig",
    "Encoding",
    "Examples",
    "GaussiansConfig",
    "GivenConfig",
    "ImageFolderConfig",
    "MoonsConfig",
    "RandomRegressionConfig",
    "SpiralsConfig",
    "Splits",
    "XorConfig",
]
