"""The jobs of a sweep fused: the best job with each value of a key, seed by seed, as rows of their own."""

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
"""What stands in the key's column."""

SUMMED = ("features/count", "time/features", "time/seconds", "parameters")


@dataclass(frozen=True)
class Fusing:
    """Which jobs are fused, and where scores are computed.

    Attributes
    ----------
    key
        Of the jobs with each of its values the best by validation accuracy is a part, or by loss where there are no
        classes.
    device
        ``cpu``, ``cuda`` or ``auto``.
    """

    key: str
    device: str

    @classmethod
    def of(cls, key: str, config: RunConfig) -> "Fusing":
        """Return what fuses the jobs of a sweep like one with this config.

        Raises
        ------
        UserError
            When there is no such key, or no validation split.
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
        """Fuse some jobs of a table with weights that are fitted on the validation split, and say what each weighs.

        Parameters
        ----------
        rows, swept
            The table's rows, and the keys in which they differ.
        numbers
            The jobs that ended well.
        folders
            Where each job lies.

        Yields
        ------
        dict
            A row for each seed that the jobs have, if the key has two values or more there: its loss and
            accuracy on the test split, and sums of what each part took.

        Raises
        ------
        UserError
            When the jobs' datasets are not the same.
        """
        for seed, parts in self.parts(rows, swept, numbers):
            named = " ".join(f"{key}={value}" for key, value in seed.items())
            if len(parts) < 2:
                words = " ".join(filter(None, (f"{self.key} has less than two values", named and f"of {named}")))
                console.note(f"sweep.fuse: nothing to fuse: {words}")
                continue
            runs = [load_run(folders[number], device=self.device) for number in parts.values()]
            *alone, _, fused = fuse_runs(runs, "test", "weights")
            weights = "  ".join(f"{value} {row.weight:.2f}" for value, row in zip(parts, alone, strict=True))
            print(" ".join(filter(None, (f"{VALUE:10}", named and f"{named}:", weights))))
            chosen = [rows[number] for number in parts.values()]
            sums = {name: sum(row[name] for row in chosen) for name in SUMMED if all(name in row for row in chosen)}
            measured = {f"test/{name}": value for name, value in fused.measured.items()}
            yield {self.key: VALUE, **seed, "status": "completed", **sums, **measured}

    def parts(
        self, rows: Sequence[Mapping[str, Any]], swept: Sequence[str], numbers: Sequence[int]
    ) -> Iterator[tuple[dict[str, str], dict[str, int]]]:
        """Yield each seed, by its keys, with the best job for each value of the key.

        A job that has no seed of its own goes with every seed of others.
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
    """Return what is to be large: accuracy on the validation split, or minus its loss."""
    value: float = row["val/accuracy"] if "val/accuracy" in row else -row["val/loss"]
    return value
