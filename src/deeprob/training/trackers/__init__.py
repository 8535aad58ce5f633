"""Trackers: where the records of a run are written. TensorBoard, CSV, JSON lines and MLflow."""

from deeprob.training.trackers.base import AboutRun, Position, Tracker, TrackerConfig
from deeprob.training.trackers.csv import MetricsCSVConfig
from deeprob.training.trackers.jsonl import JSONLinesConfig
from deeprob.training.trackers.mlflow import MLflowConfig
from deeprob.training.trackers.tensorboard import TensorBoardConfig

__all__ = [
    "AboutRun",
    "JSONLinesConfig",
    "MLflowConfig",
    "MetricsCSVConfig",
    "Position",
    "TensorBoardConfig",
    "Tracker",
    "TrackerConfig",
]
