"""Training: the loop, its state, what it measures, and checkpoints."""

from deeprob.training.loop import Record, train
from deeprob.training.metrics import evaluate
from deeprob.training.predictor import Predictor
from deeprob.training.prepare import Prepared, Shared
from deeprob.training.state import TrainState
from deeprob.training.trainer import TrainerConfig

__all__ = ["Predictor", "Prepared", "Record", "Shared", "TrainState", "TrainerConfig", "evaluate", "train"]
