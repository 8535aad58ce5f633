"""Going on with a run: its own config, and which of its values may change."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from deeprob import config as configs
from deeprob.assembly.config import MAY_CHANGE, RunConfig
from deeprob.config import load, options
from deeprob.config.loader import apply_values
from deeprob.config.overrides import check_types, explain, parse
from deeprob.errors import UserError
from deeprob.tracking.checkpoint_file import exists, generations
from deeprob.tracking.run_dir import RunDirectory


def begun(directory: Path) -> bool:
    """Tell whether a directory holds a run that has begun."""
    return (directory / "config.yaml").is_file()


def resumed(directory: Path, words: Sequence[str], composed: RunConfig | None = None) -> RunConfig:
    """Return the config of a run to go on with.

    Parameters
    ----------
    directory
        Where the run lies.
    words
        Overrides of its config; a choice in a group must be the run's own.
    composed
        What the words make without the run, which is how an experiment among them is known to be the run's own.

    Raises
    ------
    UserError
        Names each key that may not change, and what it was.
    """
    if not begun(directory):
        raise UserError(
            f"resume={directory}: no run there (no config.yaml); expected a directory that deeprob-train made"
        )
    base = configs.read(RunConfig, directory / "config.yaml").resolved()  # which may lack keys that are new
    if composed is not None and any(word.startswith("experiment=") for word in words):
        refuse_changes(base, composed := composed.resolved(), directory)
        return composed
    values = []
    for override in parse(words):
        key, word = override.key_or_group, str(override.input_line)
        if key == "resume" or key.startswith("sweep."):
            continue
        if override.is_hydra_override() or override.is_sweep_override():
            raise UserError(f"{word}: has no meaning beside resume={directory}")
        if key in options_of(base):
            chosen = configs.name_of(getattr(base, key))
            if override.value() != chosen:
                raise UserError(f"{word}: the run in {directory} has {key}={chosen}; start a new run for another")
        else:
            values.append(override)
    node = OmegaConf.structured(base)
    assert isinstance(node, DictConfig)
    try:
        apply_values(values, node)
    except Exception as error:  # whatever Hydra makes of the words, the words are at fault
        raise explain(error, words) from error
    check_types(node, [str(override.input_line) for override in values])
    config = load(RunConfig, node).resolved()
    refuse_changes(base, config, directory)
    return config


def options_of(config: RunConfig) -> list[str]:
    """Return the groups that a config has a choice in."""
    return [name for name in configs.flat(config) if "." not in name and options(name)]


def refuse_changes(base: RunConfig, config: RunConfig, directory: Path) -> None:
    """Raise a `UserError` if values differ that may not change in the middle of a run."""
    before, after = configs.flat(base), configs.flat(config)
    both = [key for key in after if key in before]  # another choice in a group has other keys besides
    changed = [f"{key}={after[key]} (was {before[key]})" for key in both if after[key] != before[key]]
    refused = [line for line in changed if line.partition("=")[0] not in MAY_CHANGE]
    if refused:
        raise UserError(
            f"{', '.join(refused)}: may not change in the run in {directory}; only {', '.join(MAY_CHANGE)} may"
        )
    if base.trainer.epochs != config.trainer.epochs and not config.scheduler.extendable:
        name = configs.name_of(config.scheduler)
        raise UserError(
            f"trainer.epochs={config.trainer.epochs}: scheduler={name} is planned over the {base.trainer.epochs} "
            f"epochs that the run in {directory} began with; constant and plateau, without warmup, could go on"
        )


def check_files(files: RunDirectory) -> None:
    """Look at a run that is to go on, before anything is written there.

    Raises
    ------
    UserError
        Names a link, through which writing would change a file elsewhere, what is neither file nor folder and would
        never end, a folder in a file's place, or what is not JSON of a run.
    """
    for path in files.path.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: no file of a run but a link, pipe or the like; remove it, or put a copy there")
    for path in files.present():
        if path.is_dir():
            raise UserError(f"{path}: a folder where a run has a file; remove it, or put the file there")
    if files.checkpoints.is_file():
        raise UserError(f"{files.checkpoints}: a file where a run has a folder; remove it, or put the folder there")
    for name in ("summary", "provenance"):
        try:
            content = files.read_json(name)
        except RecursionError:
            content = {"resumed": None}
        numbers = [value for key, value in content.items() if "/" in key or key == "epochs"]
        if not isinstance(content.get("resumed", []), list) or not all(isinstance(v, int | float) for v in numbers):
            raise UserError(f"{files.path / name}.json: not JSON of a run, or damaged; correct or remove it")


def learned_features(files: RunDirectory) -> dict[str, torch.Tensor] | None:
    """Return what the features of a run that goes on have learned; None of one that begins."""
    last = files.checkpoints / "last.pt"
    if not files.resume or not exists(last):
        return None
    learned = next(generations(last), {}).get("features")
    return learned if isinstance(learned, dict) else None  # other faults are errors when all of it is read


def complete(summary: Mapping[str, Any], epochs: int) -> bool:
    """Tell whether a run that left this summary has nothing more to do, if it is to train for so many epochs."""
    status, done = summary.get("status"), summary.get("epochs", 0)
    ended = status == "stopped" or (status == "completed" and done >= epochs)
    return ended and "test/loss" in summary


def complete_summary(files: RunDirectory, epochs: int) -> dict[str, Any] | None:
    """Return the summary of a run that is to go on, if it is complete already.

    Raises
    ------
    UserError
        See `check_files`.
    """
    check_files(files)
    summary = files.read_json("summary")
    return summary if complete(summary, epochs) else None
