"""The sweeper. Hydra finds it in this package. `deeprob.sweeps` does the work."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class DeeprobSweeper(BasicSweeper):
    """Runs every combination of the given values, and validates all jobs before the first one starts."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the function that runs a job. Hydra calls this method before `sweep`."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task = task_function

    def sweep(self, arguments: list[str]) -> Sequence[Any]:
        """Run a sweep over the overrides in `arguments`, and return the results of the jobs that ended well."""
        from deeprob.sweeps import sweep

        return sweep(self, self.task, arguments)


@dataclass
class DeeprobSweeperConfig:
    """The config of `DeeprobSweeper`, with the fields of Hydra's basic sweeper."""

    _target_: str = "hydra_plugins.deeprob_sweeper.DeeprobSweeper"
    max_batch_size: int | None = None
    params: dict[str, str] | None = None


ConfigStore.instance().store(group="hydra/sweeper", name="deeprob", node=DeeprobSweeperConfig, provider="deeprob")
