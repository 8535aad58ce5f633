"""``deeprob-evaluate``: measures a finished run on a split, or several runs together."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from deeprob.assembly.finished import CHECKPOINTS, SPLITS, Run, load_run
from deeprob.assembly.fusion import FUSIONS, fuse_runs, print_table
from deeprob.commands.command import Command
from deeprob.config import choice, register
from deeprob.errors import memory_errors
from deeprob.tracking import console
from deeprob.training.trainer import DEVICES


@register("", "evaluate")
@dataclass(kw_only=True, slots=True)
class EvaluateConfig:
    """The config of ``deeprob-evaluate``.

    Attributes
    ----------
    run
        The directory of the run to measure. Example: ``run=DIR``.
    runs
        The directories of several runs whose scores are combined, instead of `run`. Example: ``runs=[DIR1,DIR2]``.
    fusion
        How the scores of the runs are combined. ``mean`` averages them. ``weights`` takes a weighted sum,
        and fits the weights on the validation split.
    checkpoint
        The checkpoint that is loaded. ``best`` is the checkpoint with the best result on the validation split. ``last``
        is the last checkpoint.
    split
        The split on which the run is measured.
    device
        The device on which the network runs. ``auto`` takes CUDA if there is a CUDA device.
    """

    run: str | None = None
    runs: list[str] = field(default_factory=list)
    fusion: str = choice("mean", among=FUSIONS)
    checkpoint: str = choice("best", among=CHECKPOINTS)
    split: str = choice("test", among=SPLITS)
    device: str = choice("auto", among=DEVICES)

    def problems(self) -> Iterator[str]:
        """Yield a message for each key that is missing, wrong, or contradicts another key."""
        if self.run is None and not self.runs:
            yield "run is missing: add its directory to the command, or several to fuse"
        if self.run is not None and self.runs:
            yield "run and runs exclude each other: run=DIR measures one, runs=[DIR,DIR] fuses several"
        places = [Path(run).resolve() for run in self.runs]
        if len(places) == 1 or len(set(places)) < len(places):
            yield f"runs=[{','.join(self.runs)}]: expected two runs or more, each once; run=DIR measures one"
        if self.runs and (self.fusion, self.split) == ("weights", "val"):
            yield "split=val: fusion=weights fits its weights on this split; choose split=test"


def evaluate_run(config: EvaluateConfig) -> dict[str, float]:
    """Measure one run or the combination of several runs, print a table, and return the metrics."""
    if config.runs:
        return _evaluate_fusion(config)
    assert config.run is not None
    run = load_run(config.run, config.checkpoint, config.device)
    with memory_errors():
        measured = {f"{config.split}/{name}": value for name, value in run.evaluate(config.split).items()}
    console.measure_table(config.split, measured)
    print(f"run        {config.run}{_which_checkpoint(run, f'{config.checkpoint} checkpoint')}")
    return measured


def _evaluate_fusion(config: EvaluateConfig) -> dict[str, float]:
    """Measure each run and the combination of all runs. Return the metrics of the combination."""
    with memory_errors():
        runs = [load_run(directory, config.checkpoint, config.device) for directory in config.runs]
        rows = fuse_runs(runs, config.split, config.fusion)
    print_table(rows)
    which = _which_checkpoint(runs[0], f"{config.checkpoint} checkpoints")
    print(f"fusion     {config.fusion} of {len(runs)} runs on {config.split}{which}")
    return {f"{config.split}/{name}": value for name, value in rows[-1].measured.items()}


def _which_checkpoint(run: Run, name: str) -> str:
    """Return ``" (NAME)"``, where NAME is the checkpoint's name; empty if there is no validation split."""
    return f" ({name})" if run.data().val is not None else ""


COMMAND = Command.once(EvaluateConfig, evaluate_run, one="run", several="runs")
