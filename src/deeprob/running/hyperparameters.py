"""What a run was started with, for TensorBoard's HParams tab: every key has one type in all runs there can be."""

import dataclasses
from types import NoneType, UnionType
from typing import Any, get_args

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.compare.command_words import word_of


def hyperparameters(config: RunConfig, batch_size: int) -> dict[str, bool | float | str]:
    """Return dotted key → value of a run's config, as the HParams tab can filter and sort by it.

    A key whose fields are numbers, or numbers with a word or null in their place, is a number. The word or null is left
    out, and a filter passes runs without a value; but ``trainer.batch_size=full`` is `batch_size`, the examples of an
    update. A key that is true, false or null is treated alike. All else is text, also a key under which two options of
    a group mean different things.
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
    """Return key → what values of a dataclass's field are to be."""
    return {f"{prefix}{f.name}": {_kind(f.type)} for f in dataclasses.fields(cls)}


def _kind(hint: Any) -> type:
    """Return bool, float or str for a field's type."""
    parts = {part for part in (get_args(hint) if isinstance(hint, UnionType) else [hint]) if part is not NoneType}
    if parts == {bool}:
        return bool
    return float if parts & {int, float} and parts <= {int, float, str} else str
