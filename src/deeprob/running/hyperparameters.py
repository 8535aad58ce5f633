"""Convert a run's config to the hyperparameters for TensorBoard's HParams tab. A key has the same type in every run."""

import dataclasses
from types import NoneType, UnionType
from typing import Any, get_args

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.compare.command_words import word_of


def hyperparameters(config: RunConfig, batch_size: int) -> dict[str, bool | float | str]:
    """Return the hyperparameters of a run, as a dictionary from dotted key to value.

    The HParams tab filters and sorts runs by these values:

    - If a key accepts numbers, its value is a number. The key is left out if the run has a word or null. A filter of
      the tab also shows the runs without the key.
    - Exception: ``trainer.batch_size=full`` becomes the number `batch_size`, the number of examples per update.
    - If a key accepts true and false, its value is a bool. The key is left out if the run has null.
    - If a key has different types in two options of a group, its value is text.
    - The values of all other keys are text.
    """
    values = configs.flat(config)
    if not isinstance(values["trainer.batch_size"], int):
        values["trainer.batch_size"] = batch_size
    kinds = _kinds(RunConfig, "")
    for group in (key for key in values if configs.options(key)):
        for option in configs.options(group).values():
            for key, found in _kinds(option, f"{group}.").items():
                kinds[key] = kinds.get(key, set()) | found
    told: dict[str, bool | float | str] = {}
    for key, value in values.items():
        kind = next(iter(kinds[key])) if len(kinds[key]) == 1 else str
        if kind is str:
            told[key] = value if isinstance(value, str) else word_of(value).replace('"', "'")  # TensorBoard escapes "
        elif not isinstance(value, str | None):
            told[key] = value
    return told


def _kinds(cls: type, prefix: str) -> dict[str, set[type]]:
    """Return, for the dotted key of each field, a set that contains only the type of the field (see `_kind`)."""
    return {f"{prefix}{f.name}": {_kind(f.type)} for f in dataclasses.fields(cls)}


def _kind(hint: Any) -> type:
    """Return the type for the HParams tab, given the type hint of a field: bool, float or str."""
    parts = {part for part in (get_args(hint) if isinstance(hint, UnionType) else [hint]) if part is not NoneType}
    if parts == {bool}:
        return bool
    return float if parts & {int, float} and parts <= {int, float, str} else str
