"""Training: the loop, the training state, metrics, checkpoints and trackers."""

from deeprob.training.loop import Record, train
from deeprob.training.metrics import evaluate
from deeprob.training.predictor import Predictor
from deeprob.training.state import TrainState
from deeprob.training.trackers import Tracker, TrackerConfig
from deeprob.training.trainer import TrainerConfig

__all__ = ["Predictor", "Record", "Tracker", "TrackerConfig", "TrainState", "TrainerConfig", "evaluate", "train"]
