"""The keys in which runs differ."""

from collections.abc import Sequence
from typing import Any

from deeprob.assembly.config import MAY_CHANGE
from deeprob.compare.command_words import word_of
from deeprob.compare.past_runs import PastRun
from deeprob.config import options

NO_PART = frozenset(MAY_CHANGE) - {"trainer.epochs"}
"""Keys that do not influence the metrics of a run."""

_EXAMPLES = ("dataset", "dataset.root", "dataset.limit", "dataset.val_fraction", "dataset.test_fraction")
CONSEQUENCES = {
    "trainer.batch_size": ("dataset", "optimizer"),
    "trainer.monitor": ("dataset",),
    "trainer.epochs": (*_EXAMPLES, "model", "optimizer", "trainer.batch_size"),
    "optimizer.weight_decay": (*_EXAMPLES, "model"),
}
"""Keys that accept ``auto`` → the keys whose values determine the value that replaces ``auto``."""


def swept_keys(runs: Sequence[PastRun], named: Sequence[str] = ()) -> list[str]:
    """Return the keys in which runs differ, including seeds.

    The keys in `named` come first. The others follow in the order of the config. A key is left out in three cases:

    - The key does not influence any metric.
    - The runs differ in the option of the key's group, and in every run the key has the default value of the option.
    - The key accepts ``auto``, and other keys determine the value that replaces ``auto``.

    Parameters
    ----------
    runs
        The runs. If only some runs have a key, only these runs are compared.
    named
        The keys that sweeps varied. They are left out only if the runs do not differ in them.
    """
    seen: dict[str, set[str]] = {}
    last: dict[str, Any] = {}  # runs share the sections of configs that are equal, so most values are the same object
    for run in runs:
        for key, value in run.values.items():
            if key not in last or last[key] is not value:
                last[key] = value
                seen.setdefault(key, set()).add(word_of(value))
    differing = [key for key, words in seen.items() if len(words) > 1]
    groups = [key for key in differing if options(key)]

    def informs(key: str) -> bool:
        if key in named or key in groups:
            return True
        group = key.partition(".")[0]
        if key in NO_PART or (group in groups and all(_is_default(run, group, key) for run in runs)):
            return False
        return not _follows(runs, key, [cause for cause in CONSEQUENCES.get(key, ()) if cause in differing])

    return [key for key in dict.fromkeys([*named, *differing]) if key in differing and informs(key)]


def _is_default(run: PastRun, group: str, key: str) -> bool:
    """Return whether `key` has the default value of the run's option of `group`. True if the run lacks the key."""
    if key not in run.values:
        return True
    fields = getattr(options(group).get(run.values.get(group, "")), "__dataclass_fields__", {})
    name = key.removeprefix(f"{group}.")
    return name in fields and fields[name].default == run.values[key]


def _follows(runs: Sequence[PastRun], key: str, causes: Sequence[str]) -> bool:
    """Return whether the values of some keys determine the value of a key; False if `causes` is empty."""
    if not causes:
        return False
    pairs = {(*(word_of(run.values.get(cause)) for cause in causes), word_of(run.values.get(key))) for run in runs}
    return len({pair[:-1] for pair in pairs}) == len(pairs)
