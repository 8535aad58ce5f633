"""``deeprob-check-part``: tries whether a part, such as a model of the user's own, keeps the contract of its group."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from hydra.types import RunMode
from omegaconf import MISSING, DictConfig

from deeprob.analysis.surfaces import SurfaceConfig
from deeprob.assembly.config import RunConfig
from deeprob.commands import optimizer_paths, visualize
from deeprob.commands.command import Command
from deeprob.config import name_of, register
from deeprob.config.application import Application, typed_words
from deeprob.config.overrides import parse
from deeprob.data.planar import PlanarConfig
from deeprob.errors import CheckFailed, UserError, memory_errors
from deeprob.figures import FigureConfig
from deeprob.models import MLPConfig
from deeprob.parts.contract import CLAUSES, Verdict, verdicts_on
from deeprob.parts.part_trial import PartTrial
from deeprob.tracking.device import threads
from deeprob.training.ranks import Ranks

EXAMPLES = 200
"""The largest number of training examples of the small runs."""


@register("", "check_part")
@dataclass(kw_only=True, slots=True)
class CheckPartConfig(RunConfig):
    """The config of ``deeprob-check-part``: the part, and the other parts of the small runs in which it is tried."""

    figure: FigureConfig = MISSING
    surface: SurfaceConfig = MISSING


def small(config: RunConfig, typed: Collection[str]) -> RunConfig:
    """Return the config of a run of some milliseconds on the CPU. Keys that the user `typed` keep their values."""

    def but(part: Any, group: str, **values: Any) -> Any:
        new = {key: value for key, value in values.items() if f"{group}.{key}" not in typed}
        return dataclasses.replace(part, **new)

    dataset, model = config.dataset, config.model
    if isinstance(dataset, PlanarConfig):
        dataset = but(dataset, "dataset", points_per_class=20, test_points_per_class=10)
    elif dataset.limit is None:
        dataset = but(dataset, "dataset", limit=EXAMPLES)
    if isinstance(model, MLPConfig):
        model = but(model, "model", width=8)
    trainer = dataclasses.replace(config.trainer, device="cpu", threads=1, progress=False, figures=[])
    trainer = but(trainer, "trainer", epochs=3, preflight=False, checkpoint_minutes=0.0)
    if not config.optimizer.deterministic:
        trainer = but(trainer, "trainer", batch_size=16)
    return dataclasses.replace(config, dataset=dataset, model=model, trainer=trainer).resolved()


def report(option: str, trial: PartTrial) -> list[Verdict]:
    """Try every clause of a part, print a line for each, and return the verdicts.

    Raises
    ------
    CheckFailed
        If the part does not keep a clause.
    """
    found = []
    with memory_errors(), threads(1):
        for verdict in verdicts_on(trial):
            print(f"{verdict.word:8}  {verdict.clause}" + (f": {verdict.reason}" if verdict.reason else ""), flush=True)
            found.append(verdict)
    failed = sum(verdict.word == "failed" for verdict in found)
    if failed:
        raise CheckFailed(f"{option}: {failed} of {len(found)} checks failed")
    return found


def try_part(application: Application, config: DictConfig, command: list[str], ranks: Ranks) -> None:
    """Check the part that the first word names, as in ``model=mlp``. The other words choose what it is tried with.

    Raises
    ------
    UserError
        If no word names a part.
    """
    words = typed_words(config, "task")
    typed = [override.key_or_group for override in parse(words)]
    group = next((key for key in typed if key in CLAUSES), "")
    if config.hydra.mode == RunMode.MULTIRUN:
        raise UserError(f"-m: {command[0]} has no sweeps; call it once for each part")
    if not group:
        raise UserError(f"no part: name one, as in {command[0]} model=mlp; the groups are {', '.join(CLAUSES)}")
    loaded: CheckPartConfig = application.load(config, words)
    run = small(RunConfig(**{f.name: getattr(loaded, f.name) for f in dataclasses.fields(RunConfig)}), typed)
    part = getattr(run if group not in ("dataset", "figure", "surface") else loaded, group)
    option = f"{group}={name_of(part)}"
    if isinstance(part, visualize.AllConfig | optimizer_paths.AllConfig):
        raise UserError(f"{option}: stands for several parts; name one of them")
    report(option, PartTrial(group, part, run))


COMMAND = Command(CheckPartConfig, try_part)
