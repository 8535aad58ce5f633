"""Pictures: functions from tensors and models to matplotlib figures, and a config for each."""

from deeprob.figures.activation_statistics import ActivationStatisticsConfig, activation_statistics
from deeprob.figures.activations import ActivationsConfig
from deeprob.figures.base import FigureConfig, figure_of_runs, figures_of_runs
from deeprob.figures.boundary import DecisionBoundaryConfig
from deeprob.figures.confusion import ConfusionConfig
from deeprob.figures.convexity import ConvexityConfig
from deeprob.figures.feature_space import FeatureSpaceConfig
from deeprob.figures.learning_curves import LearningCurvesConfig
from deeprob.figures.loss_kinds import LossKindsConfig
from deeprob.figures.loss_plane import LossPlaneConfig
from deeprob.figures.loss_slice import LossSliceConfig
from deeprob.figures.mistakes import MistakesConfig
from deeprob.figures.optimizer_race import OptimizerRaceConfig
from deeprob.figures.templates import TemplatesConfig
from deeprob.figures.warp_film import WarpFilmConfig
from deeprob.figures.weights import WeightsConfig

__all__ = [
    "ActivationStatisticsConfig",
    "ActivationsConfig",
    "ConfusionConfig",
    "ConvexityConfig",
    "DecisionBoundaryConfig",
    "FeatureSpaceConfig",
    "FigureConfig",
    "LearningCurvesConfig",
    "LossKindsConfig",
    "LossPlaneConfig",
    "LossSliceConfig",
    "MistakesConfig",
    "OptimizerRaceConfig",
    "TemplatesConfig",
    "WarpFilmConfig",
    "WeightsConfig",
    "activation_statistics",
    "figure_of_runs",
    "figures_of_runs",
]
