"""The hyperparameters of a run for TensorBoard's HParams tab. A key has the same type in all possible runs."""

import dataclasses
from types import NoneType, UnionType
from typing import Any, get_args

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.compare.command_words import word_of


def hyperparameters(config: RunConfig, batch_size: int) -> dict[str, bool | float | str]:
    """Return a dictionary from dotted key to value, with types by which the HParams tab can filter and sort.

    - A key that accepts numbers is a number. If the run's value is a word or null, the key is left out; the tab's
      filters show runs without a value. Exception: ``trainer.batch_size=full`` becomes the number `batch_size`,
      which counts the examples per update.
    - A key that accepts true and false is a truth value. If the run's value is null, the key is left out.
    - Every other key is text. A key that has different types in two options of a group is text too.
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
    """Return, for each key of a dataclass, the set of the types of its values (see `_kind`)."""
    return {f"{prefix}{f.name}": {_kind(f.type)} for f in dataclasses.fields(cls)}


def _kind(hint: Any) -> type:
    """Return the type of a field in the HParams tab: bool, float or str."""
    parts = {part for part in (get_args(hint) if isinstance(hint, UnionType) else [hint]) if part is not NoneType}
    if parts == {bool}:
        return bool
    return float if parts & {int, float} and parts <= {int, float, str} else str
