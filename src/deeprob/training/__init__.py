"""Training: the loop, the training state, metrics and checkpoints."""

from deeprob.training.loop import Record, train
from deeprob.training.metrics import evaluate
from deeprob.training.predictor import Predictor
from deeprob.training.state import TrainState
from deeprob.training.trainer import TrainerConfig

__all__ = ["Predictor", "Record", "TrainState", "TrainerConfig", "evaluate", "train"]
