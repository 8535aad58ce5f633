"""Datasets as resident tensors, their splits, and the order of batches."""

from deeprob.data.base import DatasetConfig
from deeprob.data.batches import Batches
from deeprob.data.examples import Examples, Splits
from deeprob.data.image_folder import ImageFolderConfig
from deeprob.data.spirals import SpiralsConfig

__all__ = ["Batches", "DatasetConfig", "Examples", "ImageFolderConfig", "SpiralsConfig", "Splits"]
