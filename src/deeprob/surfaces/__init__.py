"""Surfaces that show what optimizers do: functions of two variables, and the paths of optimizers down them."""

from deeprob.surfaces.base import Limits, Point, SurfaceConfig, all_surfaces
from deeprob.surfaces.beale import BealeConfig
from deeprob.surfaces.bowl import BowlConfig
from deeprob.surfaces.descent import Descent, Race, descend
from deeprob.surfaces.local_minima import LocalMinimaConfig
from deeprob.surfaces.racers import Racer, racers_of
from deeprob.surfaces.ravine import RavineConfig
from deeprob.surfaces.rosenbrock import RosenbrockConfig
from deeprob.surfaces.saddle import SaddleConfig

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
