"""Functions of two variables (surfaces) that show how optimizers differ, and the paths of optimizers on them."""

from deeprob.analysis.surfaces.base import Limits, Point, SurfaceConfig, all_surfaces
from deeprob.analysis.surfaces.beale import BealeConfig
from deeprob.analysis.surfaces.bowl import BowlConfig
from deeprob.analysis.surfaces.descent import Descent, Race, descend
from deeprob.analysis.surfaces.local_minima import LocalMinimaConfig
from deeprob.analysis.surfaces.racers import Racer, racers_of
from deeprob.analysis.surfaces.ravine import RavineConfig
from deeprob.analysis.surfaces.rosenbrock import RosenbrockConfig
from deeprob.analysis.surfaces.saddle import SaddleConfig

__all__ = [
    "BealeConfig",
    "BowlConfig",
    "Descent",
    "Limits",
    "LocalMinimaConfig",
    "Point",
    "Race",
    "Racer",
    "RavineConfig",
    "RosenbrockConfig",
    "SaddleConfig",
    "SurfaceConfig",
    "all_surfaces",
    "descend",
    "racers_of",
]
