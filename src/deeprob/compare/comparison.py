"""The comparison of runs: all results that are printed and shown on the HTML page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deeprob.assembly.config import RunConfig, is_seed
from deeprob.compare import sweep_tables
from deeprob.compare.command_words import shortest, word_of
from deeprob.compare.curves import Histories, histories
from deeprob.compare.effects import Effect, HeatMap, Rest, chosen_map, effects, other_maps, rest
from deeprob.compare.groups import Group, all_metrics, group_runs, ranked, usual_columns, usual_sort
from deeprob.compare.keys import swept_keys
from deeprob.compare.paired import Difference, differences, metric_to_test
from deeprob.compare.past_runs import PastRun, find_runs, read_all
from deeprob.compare.ranges import in_ranges
from deeprob.config import read
from deeprob.config.own_modules import import_words
from deeprob.errors import UserError, did_you_mean
from deeprob.tracking.console import note
from deeprob.tracking.metric_names import SYNONYMS, more_is_better

BEST = 6
"""The number of groups whose learning curves are drawn."""


@dataclass(frozen=True)
class Comparison:
    """The results of a comparison of runs.

    Attributes
    ----------
    title
        The title of the HTML page: the folder of the runs, or the number of runs.
    runs
        All runs.
    keys
        The keys in which the groups differ. Seeds are left out.
    groups
        The groups of runs that differ only in seeds, from the best group to the worst.
    sort
        The metric that ranks the groups.
    columns
        The metrics that are shown.
    differences
        The differences of the other groups from the best group in the metric `tested`, in the order of `groups`.
    tested
        The metric of `differences`.
    effects
        The effects of the keys on the metric `sort`.
    rest
        The shares of the variance of `sort` that `effects` do not explain; None if these shares are unknown.
    heat_map
        The heat map of two keys; None if no two keys are suitable.
    other_maps
        The heat maps of other pairs of keys.
    curves
        The metrics of every epoch of the runs in the best groups, in the order of `groups`.
    command
        The command that repeats the best run of the best group; empty if it cannot be determined.
    """

    title: str
    runs: Sequence[PastRun]
    keys: Sequence[str]
    groups: Sequence[Group]
    sort: str
    columns: Sequence[str]
    differences: Sequence[Difference]
    tested: str
    effects: Sequence[Effect]
    rest: Rest | None
    heat_map: HeatMap | None
    other_maps: Sequence[HeatMap]
    curves: Sequence[Histories]
    command: Sequence[str]

    @property
    def best(self) -> Group:
        """The group that is ranked first."""
        return self.groups[0]

    @property
    def preliminary(self) -> bool:
        """Whether no run has ended well yet. In this case, the means are over the latest values of the runs."""
        return not any(run.finished for run in self.runs)

    @property
    def rivals(self) -> int:
        """The number of other groups whose confidence interval overlaps the confidence interval of the best."""
        found = [group.estimate(self.sort) for group in self.groups]
        first = found[0]
        if first is None or first.margin is None:
            return 0
        low, high = first.ends
        return sum(
            other is not None and other.margin is not None and other.ends[0] <= high and low <= other.ends[1]
            for other in found[1:]
        )


def gather(folder: Path | None, directories: Sequence[Path]) -> tuple[list[PastRun], list[str]]:
    """Return the runs to compare, and the keys that sweeps varied.

    The runs lie below `folder`, at any depth. If `folder` is None, the runs in `directories` are read instead. The keys
    come from the tables of sweeps (``summary.csv``) below `folder`.

    Raises
    ------
    UserError
        If there are fewer than two runs, or if the folder or a run does not exist.
    """
    tables: list[Path] = []
    if folder is not None:
        if not folder.is_dir():
            raise UserError(f"sweep={folder}: no such folder; expected one with run directories below it")
        directories, tables = find_runs(folder)
        where = f"sweep={folder}"
    else:
        for directory in directories:
            if not (directory / "config.yaml").is_file():
                raise UserError(f"runs: no run in {directory} (no config.yaml)")
        where = "runs"
    runs = read_all(directories)
    named: dict[str, None] = {}
    inside: dict[Path, list[PastRun]] = {}
    for run in runs if tables else ():
        for parent in run.directory.parents if run.directory is not None else ():
            inside.setdefault(parent, []).append(run)
    for table in tables:
        try:
            keys, rows = sweep_tables.read_table(table)
        except UserError as error:  # a summary.csv that is not the table of a sweep
            note(f"{error}; left out")
            continue
        named |= dict.fromkeys(keys)
        runs += sweep_tables.add_table(inside.get(table, ()), keys, rows)
    if not runs:
        raise UserError(f"{where}: no run there (no config.yaml in it or below)")
    if len(runs) == 1:
        raise UserError(f"{where}: only one run there ({runs[0].directory or folder}); a comparison needs two")
    return runs, list(named)


def compare_runs(
    title: str,
    runs: Sequence[PastRun],
    named: Sequence[str] = (),
    sort: str | None = None,
    columns: Sequence[str] | None = None,
    heatmap: Sequence[str] | None = None,
) -> Comparison:
    """Return the comparison of `runs`.

    Parameters
    ----------
    title
        The title of the comparison.
    runs, named
        The runs, and the keys that sweeps varied (see `gather`).
    sort
        The metric that ranks the groups. None selects the default.
    columns
        The metrics that are shown. None selects the default.
    heatmap
        The two keys of the heat map. None selects the two keys with the largest effects.

    Raises
    ------
    UserError
        If a given metric or key does not exist, or if no run has any metric.
    """
    differing = swept_keys(runs, named)
    groups = group_runs(runs, differing)
    known = all_metrics(groups)
    if not known:
        raise UserError(f"{title}: none of the {len(runs)} runs has any metric yet")
    for key, names in (("sort", [sort]), ("metrics", columns or ())):
        for name in names:
            if name is not None and name not in known:
                raise UserError(
                    f"{key}={name}: these runs have no such metric; {did_you_mean(name, sorted(known), SYNONYMS)}"
                )
    monitors = {run.values.get("trainer.monitor") for run in runs}
    sort = sort or usual_sort(known, monitors.pop() if len(monitors) == 1 else None)
    assert sort is not None
    groups = ranked(groups, sort)
    tested = metric_to_test(sort, known)
    ranges = in_ranges(groups)
    found = effects(ranges, sort)
    one = next((run.values for run in runs if run.directory is not None), runs[0].values)
    shown_map = chosen_map(ranges, sort, found, heatmap, {key: word_of(value) for key, value in one.items()})
    keys = [key for key in differing if not is_seed(key)]
    return Comparison(
        title=title,
        runs=runs,
        keys=keys,
        groups=groups,
        sort=sort,
        columns=usual_columns(groups, known, sort) if columns is None else list(dict.fromkeys([sort, *columns])),
        differences=differences(groups[0], groups[1:], tested),
        tested=tested,
        effects=found,
        rest=rest(ranges, sort, found),
        heat_map=shown_map,
        other_maps=() if shown_map is None else other_maps(ranges, sort, found, shown_map),
        curves=[histories(group) for group in groups[:BEST]],
        command=command_of(groups[0], sort, ["seed", *differing]),
    )


def command_of(group: Group, sort: str, keys: Sequence[str]) -> list[str]:
    """Return the command that repeats the best run of a group; empty if it cannot be determined.

    The best run is the one with the best value of the metric `sort`. The command always sets the keys in `keys`.
    """
    runs = [run for run in group.counted or group.runs if run.directory is not None]
    if not runs:
        return []

    def badness(run: PastRun) -> tuple[float, list[int]]:
        value = run.metrics.get(sort, -math.inf if more_is_better(sort) else math.inf)
        return -value if more_is_better(sort) else value, [seed for key, seed in run.values.items() if is_seed(key)]

    best = min(runs, key=badness)
    assert best.directory is not None
    try:
        count = best.metrics.get("examples/train")
        config = read(RunConfig, best.directory / "config.yaml")
        return ["deeprob-train", *import_words(), *shortest(config, keys, None if count is None else int(count))]
    except UserError as error:
        note(f"no command for the best runs: {error}")
        return []
