"""Pictures: functions from tensors and models to matplotlib figures, and a config for each."""

from deeprob.figures.activation_statistics import ActivationStatisticsConfig, activation_statistics
from deeprob.figures.activations import ActivationsConfig
from deeprob.figures.base import FigureConfig, figure_of_runs, figures_of_runs
from deeprob.figures.boundary import DecisionBoundaryConfig
from deeprob.figures.codebook import CodebookConfig
from deeprob.figures.colour_histograms import ColourHistogramsConfig
from deeprob.figures.confusion import ConfusionConfig
from deeprob.figures.convexity import ConvexityConfig
from deeprob.figures.equalization import EqualizationConfig
from deeprob.figures.feature_space import FeatureSpaceConfig
from deeprob.figures.firing_words import FiringWordsConfig
from deeprob.figures.hog_strokes import HogStrokesConfig
from deeprob.figures.learning_curves import LearningCurvesConfig
from deeprob.figures.loss_kinds import LossKindsConfig
from deeprob.figures.loss_plane import LossPlaneConfig
from deeprob.figures.loss_slice import LossSliceConfig
from deeprob.figures.mistakes import MistakesConfig
from deeprob.figures.optimizer_race import OptimizerRaceConfig
from deeprob.figures.palette import PaletteConfig
from deeprob.figures.templates import TemplatesConfig
from deeprob.figures.warp_film import WarpFilmConfig
from deeprob.figures.weights import WeightsConfig

__all__ = [
    "ActivationStatisticsConfig",
    "ActivationsConfig",
    "CodebookConfig",
    "ColourHistogramsConfig",
    "ConfusionConfig",
    "ConvexityConfig",
    "DecisionBoundaryConfig",
    "EqualizationConfig",
    "FeatureSpaceConfig",
    "FigureConfig",
    "FiringWordsConfig",
    "HogStrokesConfig",
    "LearningCurvesConfig",
    "LossKindsConfig",
    "LossPlaneConfig",
    "LossSliceConfig",
    "MistakesConfig",
    "OptimizerRaceConfig",
    "PaletteConfig",
    "TemplatesConfig",
    "WarpFilmConfig",
    "WeightsConfig",
    "activation_statistics",
    "figure_of_runs",
    "figures_of_runs",
]
