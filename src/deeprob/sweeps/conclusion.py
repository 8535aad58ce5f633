"""The last steps of a sweep: take further measures, tune, fuse, draw one figure of all jobs, and check the claims."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deeprob import config as configs
from deeprob.assembly.config import RunConfig, SweepConfig
from deeprob.assembly.finished import Run, load_run
from deeprob.errors import CheckFailed, UserError, did_you_mean
from deeprob.sweeps.claims import Claim, Finding, read
from deeprob.sweeps.fusing import Fusing
from deeprob.sweeps.measures import MEASURES
from deeprob.sweeps.table import METRICS, SweepTable
from deeprob.sweeps.tuning import Tuning
from deeprob.tracking import console
from deeprob.tracking.metric_names import SYNONYMS, is_recall

if TYPE_CHECKING:
    from deeprob.figures import FigureConfig

WORDS = {True: "holds", False: "FAILS", None: "undecided"}


@dataclass(frozen=True)
class Conclusion:
    """The tasks that remain when all jobs have ended.

    Attributes
    ----------
    measures
        The names of the measures to take (keys of `MEASURES`).
    claims
        The claims to check.
    figure
        The figure to draw; None for no figure.
    tuning
        Chooses the jobs for the claims and the figure; None to use all jobs.
    fusing
        Fuses the chosen jobs; None for no fusion.
    """

    measures: Sequence[str]
    claims: Sequence[Claim]
    figure: "FigureConfig | None"
    tuning: Tuning | None
    fusing: Fusing | None

    @classmethod
    def of(cls, plan: SweepConfig, config: RunConfig) -> "Conclusion":
        """Return the conclusion of a sweep.

        Parameters
        ----------
        plan
            The settings of the sweep.
        config
            The config of one run. It shows which keys exist.

        Raises
        ------
        UserError
            If a claim has an unknown form, or if a measure, metric, key or figure in the plan does not exist.
        """
        for name in plan.measures:
            if name not in MEASURES:
                raise UserError(f"sweep.measures: no measure is called {name}; {did_you_mean(name, MEASURES)}")
        claims = [read(text) for text in plan.claims]
        keys = configs.flat(config)
        tune_by = plan.tune_by if plan.tune_by != "auto" else chooser(config)
        for key, names in (("columns", plan.columns), ("tune_by", [tune_by])):
            for name in names:
                if name not in METRICS and not is_recall(name):
                    raise UserError(f"sweep.{key}: no metric {name}; {did_you_mean(name, METRICS, SYNONYMS)}")
        for key in plan.tune:
            if key not in keys:
                raise UserError(f"sweep.tune: no key {key}; {did_you_mean(key, keys)}")
        for claim in claims:
            named = claim.metric in METRICS or is_recall(claim.metric)
            if not named and claim.metric.partition("/")[0] not in plan.measures:
                known = [*METRICS, *(f"{name}/…" for name in plan.measures)]
                raise UserError(
                    f"sweep.claims: no metric {claim.metric}; {did_you_mean(claim.metric, known, SYNONYMS)}"
                )
            for key in claim.keys:
                if key not in keys:
                    raise UserError(f"sweep.claims: no key {key} in {claim.text!r}; {did_you_mean(key, keys)}")
        tuning = Tuning(plan.tune, tune_by) if plan.tune else None
        fusing = None if plan.fuse is None else Fusing.of(plan.fuse, config)
        if plan.figure is None:
            return cls(plan.measures, claims, None, tuning, fusing)
        from deeprob.figures import figure_of_runs

        return cls(plan.measures, claims, figure_of_runs(plan.figure, "sweep.figure"), tuning, fusing)

    def conclude(self, table: SweepTable, directory: Path, folders: Sequence[Path]) -> tuple[list[str], list[int]]:
        """Measure, tune, fuse and draw the jobs that ended well, and check the claims.

        Parameters
        ----------
        table
            The table of the sweep. It gets the measured columns and the fused rows.
        directory
            The directory of the sweep.
        folders
            The folders of all jobs, in the order of the job numbers.

        Returns
        -------
        list, list
            The texts of the claims that fail, and the numbers of the jobs that failed. Jobs that tuning excuses do not
            count as failed (see `Choice`).
        """
        failed, ended = table.failed, table.ended
        for number in ended if self.measures else ():
            run = load_run(folders[number])
            for name in self.measures:
                table.add_measures(number, MEASURES[name](run))
        remarks: list[str] = []
        if self.tuning is not None:
            table.print_means()
            ended, excused, remarks = self.tuning.best(table.rows, table.swept)
            failed = [number for number in failed if number not in excused]
        fused = self.fusing.rows(table.rows, table.swept, ended, folders) if self.fusing is not None else ()
        shown = [*ended, *(table.add(row) for row in fused)]
        if self.tuning is None:
            table.print_means()
        else:
            table.print_means(shown, f"the best {', '.join(self.tuning.keys)} of each by {self.tuning.metric}")
            for remark in remarks:
                console.say(remark)
        findings = [claim.check([table.rows[number] for number in shown]) for claim in self.claims]
        print_findings(findings)
        if self.figure is not None and ended:
            runs = {table.title(number): load_run(folders[number]) for number in ended}
            path = self.draw(self.figure, runs, directory)
            console.say(f"\nfigure     {path}")
        return [finding.claim for finding in findings if finding.holds is False], failed

    @staticmethod
    def draw(figure: "FigureConfig", runs: Mapping[str, Run], directory: Path) -> Path:
        """Draw runs side by side, save the figure in the folder ``figures`` of `directory`, and return its path.

        Raises
        ------
        CheckFailed
            If the figure cannot show a run. This can be checked only after the runs have finished.
        """
        reason = next(filter(None, map(figure.unsuited, runs.values())), "")
        if reason:
            raise CheckFailed(f"sweep.figure={configs.name_of(figure)} {reason}")
        from deeprob.figures.base import tell_cut

        tell_cut(figure, runs, "sweep.figure")
        return figure.save_comparison(runs, directory / "figures")


def chooser(config: RunConfig) -> str:
    """Return the metric that chooses a run's best checkpoint; ``train/loss`` if there is no validation split."""
    return config.resolved().trainer.monitor if config.dataset.has_validation else "train/loss"


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each claim, whether it holds, and the numbers that decide it."""
    if not findings:
        return
    console.say("\nclaims (medians over seeds and other keys)")
    width = max(len(finding.claim) for finding in findings)
    for claim, holds, measured in findings:
        metric = claim.split()[0]
        numbers = "  ".join(f"{what}: {console.shown(metric, {metric: value})}" for what, value in measured)
        reason = "  the sweep lacks the jobs that would decide it" if holds is None else ""
        console.say(f"{WORDS[holds]:9}  {claim:{width}}  {numbers}{reason}".rstrip())
