"""The keys in which runs differ."""

from collections.abc import Sequence

from deeprob.assembly.config import MAY_CHANGE
from deeprob.compare.command_words import word_of
from deeprob.compare.past_runs import PastRun
from deeprob.config import options

NO_PART = frozenset(MAY_CHANGE) - {"trainer.epochs"}
"""Keys that have no part in the numbers of a run."""

CONSEQUENCES = {"trainer.batch_size": ("dataset", "optimizer"), "trainer.monitor": ("dataset",)}
"""Keys whose ``auto`` stands for something else with another choice in a group."""


def swept_keys(runs: Sequence[PastRun], named: Sequence[str] = ()) -> list[str]:
    """Return the keys in which runs differ, seeds included: those `named` first, others as they stand in a config.

    Left out are keys that say no more than others: those that have no part in a run's numbers, the fields of a choice
    where each choice has its own default, and what ``auto`` stands for with each choice.

    Parameters
    ----------
    runs
        Some runs; a key that only some of them have counts if it differs among these.
    named
        Keys to be kept if they differ: those that sweeps varied.
    """
    seen: dict[str, set[str]] = {}
    for run in runs:
        for key, value in run.values.items():
            seen.setdefault(key, set()).add(word_of(value))
    differing = [key for key, words in seen.items() if len(words) > 1]
    groups = [key for key in differing if options(key)]

    def informs(key: str) -> bool:
        if key in named or key in groups:
            return True
        group = key.partition(".")[0]
        if key in NO_PART or (group in groups and all(_is_default(run, group, key) for run in runs)):
            return False
        return not _follows(runs, key, [group for group in CONSEQUENCES.get(key, ()) if group in groups])

    return [key for key in dict.fromkeys([*named, *differing]) if key in differing and informs(key)]


def _is_default(run: PastRun, group: str, key: str) -> bool:
    """Tell whether a run has the default of a field of its own choice, or not even the field."""
    if key not in run.values:
        return True
    fields = getattr(options(group).get(run.values.get(group, "")), "__dataclass_fields__", {})
    name = key.removeprefix(f"{group}.")
    return name in fields and fields[name].default == run.values[key]


def _follows(runs: Sequence[PastRun], key: str, groups: Sequence[str]) -> bool:
    """Tell whether each combination of choices in some groups has one value of a key."""
    if not groups:
        return False
    pairs = {(*(word_of(run.values.get(group)) for group in groups), word_of(run.values.get(key))) for run in runs}
    return len({pair[:-1] for pair in pairs}) == len(pairs)
