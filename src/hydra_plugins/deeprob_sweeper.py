"""Hydra finds sweepers only in this package; all that it does is in `deeprob.sweeps`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class DeeprobSweeper(BasicSweeper):
    """Every combination of the values given, validated before the first job starts."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands to a sweeper before it sweeps."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task = task_function

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        """Run the sweep of some overrides and return what became of each job."""
        from deeprob.sweeps import sweep

        return sweep(self, self.task, arguments)


@dataclass
class DeeprobSweeperConfig:
    """Fields of Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.deeprob_sweeper.DeeprobSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="deeprob", node=DeeprobSweeperConfig, provider="deeprob")
