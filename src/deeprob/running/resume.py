"""Resume a run: read its config, apply the overrides to it, and check its files."""

import dataclasses
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from deeprob import config as configs
from deeprob.assembly.automatic import DECIDED
from deeprob.assembly.config import MAY_CHANGE, RunConfig
from deeprob.compare.command_words import word_of
from deeprob.config import load, options
from deeprob.config.loader import apply_values
from deeprob.config.overrides import check_types, explain, parse
from deeprob.config.own_modules import import_words
from deeprob.config.own_parts import changed_modules, own_parts
from deeprob.config.schema import changed
from deeprob.errors import UserError
from deeprob.tracking import console
from deeprob.tracking.checkpoint_file import exists, generations
from deeprob.tracking.run_dir import RunDirectory


def begun(directory: Path) -> bool:
    """Return whether a directory holds a run that has begun."""
    return (directory / "config.yaml").is_file()


def resumed(directory: Path, words: Sequence[str], composed: RunConfig | None = None) -> RunConfig:
    """Return the config with which a run is resumed.

    Parameters
    ----------
    directory
        The directory of the run.
    words
        The overrides for the resumed run. An override may name an option of a group, such as ``optimizer=adam``, only
        if the run has this option already.
    composed
        The config that Hydra composed from the overrides. If the overrides choose an experiment, this config is
        returned. Its values must equal the values of the run, except for the keys in `MAY_CHANGE`.

    Raises
    ------
    UserError
        If the directory holds no run, if an override is invalid, or if an override changes a value that must stay the
        same. The message names each changed key and its earlier value.
    """
    if not begun(directory):
        raise UserError(
            f"resume={directory}: no run there (no config.yaml); expected a directory that deeprob-train made"
        )
    base = configs.read(RunConfig, directory / "config.yaml")  # the file may lack new keys
    if base.trainer.gradient == "auto":  # the run is older than the key, and began with autograd
        base = with_gradient(base, "autograd")
    base = base.resolved()
    for module in changed_modules(directory, own_parts(base.choices())):
        console.note(f"{directory}: the module {module} has changed since the run was trained")
    if composed is not None and any(word.startswith("experiment=") for word in words):
        composed = decided_like(base, composed, [*DECIDED, "trainer.gradient", "trainer.chunk_size"]).resolved()
        refuse_changes(base, composed, directory)
        return composed
    values = []
    for override in parse(words):
        key, word = override.key_or_group, str(override.input_line)
        if key == "resume" or key.startswith("sweep."):
            continue
        if override.is_hydra_override() or override.is_sweep_override():
            raise UserError(f"{word}: cannot be combined with resume={directory}")
        if key in options_of(base):
            chosen = configs.name_of(getattr(base, key))
            if override.value() != chosen:
                raise UserError(f"{word}: the run in {directory} has {key}={chosen}; start a new run to change it")
        else:
            values.append(override)
    node = OmegaConf.structured(base)
    assert isinstance(node, DictConfig)
    try:
        apply_values(values, node)
    except Exception as error:  # every exception here is caused by the overrides
        raise explain(error, words) from error
    check_types(node, [str(override.input_line) for override in values])
    config = decided_like(base, load(RunConfig, node), DECIDED).resolved()
    refuse_changes(base, config, directory)
    if config.trainer.gradient != base.trainer.gradient:
        console.note(
            f"trainer.gradient={config.trainer.gradient} (was {base.trainer.gradient}): "
            "from here on, numbers are rounded differently than in a run without this change"
        )
    return config


def with_gradient(config: RunConfig, gradient: str) -> RunConfig:
    """Return a config with another value of ``trainer.gradient``."""
    return dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, gradient=gradient))


def decided_like(base: RunConfig, config: RunConfig, keys: Iterable[str]) -> RunConfig:
    """Return `config`, in which the values of `base` replace each ``auto`` of these keys.

    Several processes decide ``trainer.chunk_size``. With one process it stays ``auto``.
    """
    before, after = configs.flat(base), configs.flat(config)
    return changed(config, {key: before[key] for key in keys if after.get(key) == "auto" and key in before})


def options_of(config: RunConfig) -> list[str]:
    """Return the keys of a config that are groups, such as ``optimizer``."""
    return [name for name in configs.flat(config) if "." not in name and options(name)]


def refuse_changes(base: RunConfig, config: RunConfig, directory: Path) -> None:
    """Raise a `UserError` if `config` changes a value of `base` that must stay the same when a run is resumed."""
    before, after = configs.flat(base), configs.flat(config)
    both = [key for key in after if key in before]  # different options of a group have different keys
    changed = [f"{key}={after[key]} (was {before[key]})" for key in both if after[key] != before[key]]
    refused = [line for line in changed if line.partition("=")[0] not in MAY_CHANGE]
    if refused:
        raise UserError(
            f"{', '.join(refused)}: cannot change when the run in {directory} is resumed; "
            f"only {', '.join(MAY_CHANGE)} can"
        )
    if base.trainer.epochs != config.trainer.epochs and not config.scheduler.extendable:
        name = configs.name_of(config.scheduler)
        raise UserError(
            f"trainer.epochs={config.trainer.epochs}: scheduler={name} depends on the {base.trainer.epochs} epochs "
            f"planned for the run in {directory}; start a new run for another number (only a run that begins with "
            "scheduler=constant or plateau, without warmup, can be made longer)"
        )


def check_files(files: RunDirectory) -> None:
    """Check the files of a run before it is resumed.

    Raises
    ------
    UserError
        In four cases. The message names the path.

        - A path is a link. Writing there would change a file elsewhere.
        - A path is a pipe or a device. Reading from it might never end.
        - A path is a folder where a run has a file, or a file where a run has a folder.
        - ``summary.json`` or ``provenance.json`` does not have the content of a run.
    """
    for path in files.path.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: a link, a pipe or the like; remove it, or put a plain file there")
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
            raise UserError(f"{files.path / name}.json: damaged, or not a JSON file of a run; correct or remove it")


def learned_features(files: RunDirectory) -> dict[str, torch.Tensor] | None:
    """Return the fitted features from the newest checkpoint. If the run is not resumed or has none, return None."""
    last = files.checkpoints / "last.pt"
    if not files.resume or not exists(last):
        return None
    learned = next(generations(last), {}).get("features")
    return learned if isinstance(learned, dict) else None  # other faults raise errors when the whole checkpoint is read


def complete(summary: Mapping[str, Any], epochs: int | str) -> bool:
    """Return whether a run is complete, given its summary and the required number of epochs.

    ``auto`` requires no other number than the run had.
    """
    status, done = summary.get("status"), summary.get("epochs", 0)
    ended = status == "stopped" or (status == "completed" and (isinstance(epochs, str) or done >= epochs))
    return ended and "test/loss" in summary


def complete_summary(files: RunDirectory, epochs: int | str) -> dict[str, Any] | None:
    """Check the files of a run, and return its summary; None if the run is not complete.

    Raises
    ------
    UserError
        See `check_files`.
    """
    check_files(files)
    summary = files.read_json("summary")
    return summary if complete(summary, epochs) else None


def print_resume(directory: Path) -> None:
    """Print the command that resumes a run or a sweep."""
    words = [*import_words(), f"resume={word_of(console.near(directory))}"]
    console.say(f"go on      deeprob-train {shlex.join(words)}")
