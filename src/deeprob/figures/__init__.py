"""Figures: functions that draw tensors and models with matplotlib, and one config per figure."""

from deeprob.figures.base import FigureConfig, figure_of_runs, figures_of_runs
from deeprob.figures.of_features.codebook import CodebookConfig
from deeprob.figures.of_features.color_histogram import ColorHistogramsConfig
from deeprob.figures.of_features.equalize import EqualizeConfig
from deeprob.figures.of_features.hog import HogStrokesConfig
from deeprob.figures.of_features.palette import PaletteConfig
from deeprob.figures.of_features.words import WordsConfig
from deeprob.figures.of_layers.feature_space import FeatureSpaceConfig
from deeprob.figures.of_layers.warp_film import WarpFilmConfig
from deeprob.figures.of_loss.convexity import ConvexityConfig
from deeprob.figures.of_loss.loss_kinds import LossKindsConfig
from deeprob.figures.of_loss.loss_plane import LossPlaneConfig
from deeprob.figures.of_loss.loss_slice import LossSliceConfig
from deeprob.figures.of_models.activation_statistics import ActivationStatisticsConfig, activation_statistics
from deeprob.figures.of_models.activations import ActivationsConfig
from deeprob.figures.of_models.confusion import ConfusionConfig
from deeprob.figures.of_models.decision_boundary import DecisionBoundaryConfig
from deeprob.figures.of_models.importance import ImportanceConfig
from deeprob.figures.of_models.mistakes import MistakesConfig
from deeprob.figures.of_models.predicted_against_true import PredictedAgainstTrueConfig
from deeprob.figures.of_models.reliability import ReliabilityConfig
from deeprob.figures.of_models.residuals import ResidualsConfig
from deeprob.figures.of_models.roc import ROCConfig
from deeprob.figures.of_models.templates import TemplatesConfig
from deeprob.figures.of_models.weights import WeightsConfig
from deeprob.figures.of_optimizers.optimizer_race import OptimizerRaceConfig
from deeprob.figures.of_runs.learning_curves import LearningCurvesConfig

__all__ = [
    "ActivationStatisticsConfig",
    "ActivationsConfig",
    "CodebookConfig",
    "ColorHistogramsConfig",
    "ConfusionConfig",
    "ConvexityConfig",
    "DecisionBoundaryConfig",
    "EqualizeConfig",
    "FeatureSpaceConfig",
    "FigureConfig",
    "HogStrokesConfig",
    "ImportanceConfig",
    "LearningCurvesConfig",
    "LossKindsConfig",
    "LossPlaneConfig",
    "LossSliceConfig",
    "MistakesConfig",
    "OptimizerRaceConfig",
    "PaletteConfig",
    "PredictedAgainstTrueConfig",
    "ROCConfig",
    "ReliabilityConfig",
    "ResidualsConfig",
    "TemplatesConfig",
    "WarpFilmConfig",
    "WeightsConfig",
    "WordsConfig",
    "activation_statistics",
    "figure_of_runs",
    "figures_of_runs",
]
