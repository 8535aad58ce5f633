"""Fuse jobs of a sweep: choose the best job for each value of a key, and combine the scores of the chosen jobs.

Each seed gives one row of the table.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprob import config as configs
from deeprob.assembly.config import RunConfig, is_seed
from deeprob.assembly.finished import load_run
from deeprob.assembly.fusion import fuse_runs
from deeprob.errors import UserError, did_you_mean
from deeprob.tracking import console

VALUE = "fused"
"""The value of the key in a row of fused jobs."""

SUMMED = ("features/count", "time/features", "time/seconds", "parameters")
"""The columns of a fused row that are sums over the fused jobs."""


@dataclass(frozen=True)
class Fusing:
    """The key that decides which jobs are fused, and the device that computes their scores.

    Attributes
    ----------
    key
        First, for each value of this key, the job with the highest validation accuracy is chosen. If there are no
        classes, the job with the lowest validation loss is chosen. Then the chosen jobs are fused.
    device
        ``cpu``, ``cuda`` or ``auto``.
    """

    key: str
    device: str

    @classmethod
    def of(cls, key: str, config: RunConfig) -> "Fusing":
        """Check the key, and return the fusion. `config` is the config of any job.

        Raises
        ------
        UserError
            If the config lacks the key, or if there is no validation split.
        """
        keys = configs.flat(config)
        if key not in keys:
            raise UserError(f"sweep.fuse: no key {key}; {did_you_mean(key, keys)}")
        if not config.dataset.has_validation:
            raise UserError("sweep.fuse fits weights on a validation split: set dataset.val_fraction=0.1, say")
        return cls(key, config.trainer.device)

    def rows(
        self, rows: Sequence[Mapping[str, Any]], swept: Sequence[str], numbers: Sequence[int], folders: Sequence[Path]
    ) -> Iterator[dict[str, Any]]:
        """Fuse jobs of a table with weights that are fitted on the validation split, and print the weights.

        Parameters
        ----------
        rows
            The rows of the table.
        swept
            The keys in which the rows differ.
        numbers
            The numbers of the jobs that ended well.
        folders
            The folders of all jobs, in the order of the job numbers.

        Yields
        ------
        dict
            A row of the table. It has the loss and the accuracy of the fused scores on the test split. Each column in
            `SUMMED` has the sum over the fused jobs. There is one row for each seed. If a seed has jobs for fewer than
            two values of the key, a note is printed instead.

        Raises
        ------
        UserError
            If the jobs have different datasets.
        """
        for seed, parts in self.parts(rows, swept, numbers):
            named = " ".join(f"{key}={value}" for key, value in seed.items())
            if len(parts) < 2:
                words = " ".join(filter(None, (f"{self.key} has fewer than two values", named and f"of {named}")))
                console.note(f"sweep.fuse: nothing to fuse: {words}")
                continue
            runs = [load_run(folders[number], device=self.device) for number in parts.values()]
            *alone, _, fused = fuse_runs(runs, "test", "weights")
            weights = "  ".join(f"{value} {row.weight:.2f}" for value, row in zip(parts, alone, strict=True))
            console.say(" ".join(filter(None, (f"{VALUE:10}", named and f"{named}:", weights))))
            chosen = [rows[number] for number in parts.values()]
            sums = {name: sum(row[name] for row in chosen) for name in SUMMED if all(name in row for row in chosen)}
            measured = {f"test/{name}": value for name, value in fused.measured.items()}
            yield {self.key: VALUE, **seed, "status": "completed", **sums, **measured}

    def parts(
        self, rows: Sequence[Mapping[str, Any]], swept: Sequence[str], numbers: Sequence[int]
    ) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
        """Yield, for each seed, the seed and the numbers of the jobs to fuse.

        Example: ``{"seed": "0"}, {"raw": 2, "polar": 5}``. The second dictionary has the best job for each value of
        `key`. If the overrides of a job set no seed, the job can be fused for every seed.
        """
        seeds = [key for key in swept if is_seed(key) and key != self.key]
        drawn = list(dict.fromkeys(tuple(rows[number][key] for key in seeds) for number in numbers))
        for draw in [values for values in drawn if all(values)] or drawn:
            best: dict[str, int] = {}
            for number in numbers:
                row = rows[number]
                if any(row[key] not in ("", value) for key, value in zip(seeds, draw, strict=True)):
                    continue
                value = row.get(self.key, "")
                if value not in best or quality(row) > quality(rows[best[value]]):
                    best[value] = number
            yield dict(zip(seeds, draw, strict=True)), best


def quality(row: Mapping[str, Any]) -> float:
    """Return the validation accuracy; if there is none, minus the validation loss. A larger number is better."""
    value: float = row["val/accuracy"] if "val/accuracy" in row else -row["val/loss"]
    return value
