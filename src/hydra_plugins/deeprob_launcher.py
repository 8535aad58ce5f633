"""The launcher that trains jobs in stacks. Hydra finds it in this package. `deeprob.sweeps.stacks` does the work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from omegaconf import OmegaConf


class StackLauncher(BasicLauncher):
    """Trains jobs with the same structure together, as stacks, and the other jobs one by one.

    Parameters
    ----------
    max_stack
        The largest number of runs in a stack. With ``auto``, this number depends on the memory and the speed of the
        device. The jobs train one by one if a stack would not be faster.
    workers
        The number of workers that train at the same time. 1: this process trains. -1: one worker per core. -2: one
        worker per core but one. With ``auto``, there are as many workers as repay the time of their start.
    engine
        Where workers run: ``processes`` of this machine, a ``ray`` cluster, or SLURM through ``submitit``.
    cluster
        The address of the Ray cluster, or the cluster of submitit (``slurm`` or ``local``). ``auto`` finds one.
    resources
        The resources that each worker asks for, under the engine's own names.
    """

    def __init__(
        self,
        max_stack: int | str = "auto",
        workers: int | str = "auto",
        engine: str = "processes",
        cluster: str = "auto",
        resources: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.max_stack, self.workers = max_stack, workers
        self.engine, self.cluster = engine, cluster
        plain: Any = OmegaConf.to_container(OmegaConf.create(dict(resources or {})))
        self.resources: dict[str, Any] = plain

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run jobs, and return their results in the order of the jobs."""
        from deeprob.sweeps.launching import launch

        return launch(self, job_overrides, initial_job_idx)

    def alone(self, words: Sequence[str], number: int) -> JobReturn:
        """Run one job as Hydra's basic launcher does, without a stack."""
        result: JobReturn = super().launch([list(words)], number)[0]
        return result


@dataclass
class StackLauncherConfig:
    """The config of `StackLauncher`. Hydra knows it under two names: ``auto`` and ``vectorized``."""

    _target_: str = "hydra_plugins.deeprob_launcher.StackLauncher"
    max_stack: Any = "auto"
    workers: Any = "auto"
    engine: str = "processes"
    cluster: str = "auto"
    resources: dict[str, Any] = field(default_factory=dict)


node = OmegaConf.structured(StackLauncherConfig)
OmegaConf.set_struct(node.resources, False)  # any name can be set: hydra.launcher.resources.num_gpus=1
for name in ("auto", "vectorized"):  # auto is the default; vectorized is its former name
    ConfigStore.instance().store(group="hydra/launcher", name=name, node=node, provider="deeprob")
