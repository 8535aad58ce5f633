"""``deeprob-check-gradients``: compares three gradients of the loss: by differences, by autograd and by formulas."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from deeprob.analysis.gradients.differences import EntryCheck, Loss, Parameters, analytic, check_entries
from deeprob.analysis.gradients.slopes import EPSILON, ROUNDING, STEP
from deeprob.assembly.config import TrainConfig, is_seed
from deeprob.assembly.gradients_of import ByFormulas, differentiable, first_batch, in_float64, loss_over
from deeprob.assembly.setup import Setup
from deeprob.commands.command import Command
from deeprob.config import number, register
from deeprob.config.application import Application, typed_words
from deeprob.errors import CheckFailed, memory_errors
from deeprob.figures.of_loss.gradient_errors import error_curve, gradient_errors
from deeprob.figures.style import save_figure
from deeprob.tracking.console import LiveTable, note
from deeprob.tracking.device import threads
from deeprob.training.ranks import Ranks

PICTURE = Path("outputs/figures/gradient_check.png")
STEPS = [10 ** (exponent / 2) for exponent in range(-26, -1)]
"""The values of the step h in the figure: from 1e-13 to 0.1, two per power of ten."""


@dataclass(kw_only=True, slots=True)
class CheckConfig:
    """The settings of the gradient check.

    Attributes
    ----------
    entries
        The number of entries that are compared in each tensor. They are drawn at random with the run's seed. ``all``
        compares every entry.
    examples
        The batch size. The gradient is checked on the first batch of a run with this batch size.
    step
        The step h of the numeric gradient. An entry w is changed by h · max(1, |w|). null is 6.1e-6, the cube root of
        float64's ε.
    tolerance
        The largest relative error that is accepted. The rounding of float64 allows no tolerance below 1e-8.
    curve
        Whether to draw a figure of the error for different steps h.
    """

    entries: int | str = number(64, minimum=1, words=("all",))
    examples: int = number(32, minimum=1)
    step: float | None = number(None, above=0, below=1, optional=True, whole=False)
    tolerance: float = number(1e-6, minimum=1e-8, below=1)
    curve: bool = True


@register("", "check_gradients")
@dataclass(kw_only=True, slots=True)
class CheckGradientsConfig(TrainConfig):
    """The config of ``deeprob-check-gradients``: the config of ``deeprob-train`` and the settings of the check."""

    check: CheckConfig = field(default_factory=CheckConfig)


def check_gradients(config: CheckGradientsConfig) -> list[EntryCheck]:
    """Check the gradient of the objective at the initial weights, print the result and draw it.

    Raises
    ------
    CheckFailed
        If the loss at the initial weights is not finite, or if an entry of the gradient is wrong. The message names
        the worst entry.
    """
    check = config.check
    with memory_errors():
        setup = in_float64(config.run, check.examples)
        with threads(config.trainer.threads if isinstance(config.trainer.threads, int) else 1):
            return report(setup, check)


class Timed:
    """A loss function that measures the time of its calls."""

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._calls = 0
        self._seconds = 0.0

    def __call__(self, parameters: Parameters) -> Tensor:
        """Return the loss."""
        before = time.perf_counter()
        value = self._loss(parameters)
        self._seconds += time.perf_counter() - before
        self._calls += 1
        return value

    @property
    def seconds(self) -> float:
        """The mean time of a call, in seconds."""
        return self._seconds / self._calls


def report(setup: Setup, check: CheckConfig) -> list[EntryCheck]:
    """Check the gradient, print and draw the result, and return the comparison of each entry."""
    parameters = {name: tensor.detach().clone() for name, tensor in setup.state.parameters.items()}
    batch = first_batch(setup)
    loss = loss_over(batch, setup, setup.objective)
    value = loss(parameters).item()
    if not math.isfinite(value):
        raise CheckFailed(f"L(W) is {value} at the initial weights: there is no gradient to check")
    formula = None if setup.config.lacking_formulas() else ByFormulas(batch, setup)  # Setup.build has told why
    numeric = Timed(loss_over(batch, setup, differentiable(setup.objective)))
    step = check.step or STEP
    comparisons = check_entries(
        numeric,
        lambda point: analytic(loss, point),
        parameters,
        formula,
        entries=check.entries if isinstance(check.entries, int) else None,
        step=step,
        tolerance=check.tolerance,
        seed=setup.config.seed,
    )
    found = tabulated(comparisons, parameters)
    print_meanings(found, check, ROUNDING * EPSILON * abs(value) / step, step)
    one = numeric.seconds
    every = 2 * setup.parameters * one
    count = f"{setup.parameters:,}"
    print(f"numeric    {duration(every)} for all {count} parameters: extrapolated from {duration(one)} per loss")
    times = {"autograd": seconds(lambda: analytic(loss, parameters))}
    if formula is not None:
        times["formula"] = seconds(formula.evaluate)
    for name, taken in times.items():
        print(f"{name:9}  {duration(taken)} for all: numeric takes {every / taken:,.0f} times as long")
    if check.curve and (curve := error_curve(found, STEPS)):
        save_figure(gradient_errors(curve, step, check.tolerance), PICTURE)
        print(f"figure     {PICTURE}")
    worst = worst_of(found)
    if worst is not None and worst.verdict == "wrong":
        counts = " and ".join(
            f"by {name} ({count} of {len(found)} checked)" for name, count in wrong_counts(found).items() if count
        )
        raise CheckFailed(f"wrong gradient {counts}, worst {worst.where}: {numbers(worst)}")
    return found


def print_meanings(found: Sequence[EntryCheck], check: CheckConfig, noise: float, step: float) -> None:
    """Print the meanings of the table's columns, the worst entry, and an entry at a kink.

    `noise` is the rounding error of a central difference with step `step`.
    """
    floor = f"{noise / check.tolerance:.1e}"
    print(f"error      |n − a| / max(|n|, |a|, {floor}), with h = {step:.1e}·max(1, |w|)")
    print("           autograd, formula: each against the central difference n = (L(w + h) − L(w − h)) / 2h")
    print("           one-sided: autograd against n = (L(w + h) − L(w)) / h")
    if any(comparison.formula is not None for comparison in found):
        print("           apart: formula against autograd, without n")
    print(f"verdict    ok if the errors of autograd and formula are at most {check.tolerance:.0e}; not of one-sided")
    print(f"floor      rounding of L changes n by at most {noise:.1e} = {check.tolerance:.0e}·{floor}")
    worst = worst_of(found)
    if worst is not None:
        print(f"worst      {worst.where}: {numbers(worst)}")
    if kinks := [comparison for comparison in found if comparison.verdict == "kink"]:
        print(f"kinks      {len(kinks)} entries with a kink of L within h, such as {kinks[0].where}: no errors")


def tabulated(comparisons: Iterable[EntryCheck], parameters: Parameters) -> list[EntryCheck]:
    """Print one row after the comparison of each tensor. Return all comparisons."""
    found = []
    header = ("tensor", "shape", "entries", "autograd", "formula", "apart", "one-sided", "kinks", "verdict")
    shapes = {name: "×".join(map(str, tensor.shape)) for name, tensor in parameters.items()}
    widths = [max(map(len, parameters)), max(map(len, shapes.values()))]
    view = LiveTable(header, widths, len("64/16384"))
    for name, group in groupby(comparisons, lambda comparison: comparison.tensor):
        rows = list(group)
        found += rows
        autograd = [row.autograd for row in rows if row.autograd.verdict != "kink"]
        formula = [row.formula for row in rows if row.formula is not None and row.formula.verdict != "kink"]
        both = [row for row in rows if row.formula is not None and not row.at_kink]
        entries, size = sum(row.place is not None for row in rows), parameters[name].numel()
        wrong = ", ".join(f"{gradient} {count}" for gradient, count in wrong_counts(rows).items() if count)
        view.row(
            (
                name,
                shapes[name],
                f"all {size}" if entries == size else f"{entries}/{size}",
                largest_error(check.error for check in autograd),
                largest_error(check.error for check in formula),
                largest_error(row.apart for row in both),
                largest_error(check.one_sided_error for check in autograd),
                str(sum(row.verdict == "kink" for row in rows)),
                f"{wrong} wrong" if wrong else "ok",
            ),
            style="red" if wrong else "",
        )
    return found


def largest_error(errors: Iterable[float]) -> str:
    """Return the largest error as text; an empty text if there are no errors."""
    known = list(errors)
    return f"{max(known):.1e}" if known else ""


def wrong_counts(found: Iterable[EntryCheck]) -> dict[str, int]:
    """Return a dictionary from the name of a gradient to the number of slopes that are wrong in this gradient."""
    counts = {"autograd": 0, "formula": 0}
    for comparison in found:
        for name, check in comparison.checks.items():
            counts[name] += check.verdict == "wrong"
    return counts


def worst_of(found: Iterable[EntryCheck]) -> EntryCheck | None:
    """Return the comparison with the largest error; None if there is no comparison.

    A wrong entry comes before all correct entries. Entries at a kink of the loss are left out.
    """
    sound = [comparison for comparison in found if comparison.verdict != "kink"]
    return max(sound, key=lambda comparison: (comparison.verdict == "wrong", comparison.error), default=None)


def numbers(comparison: EntryCheck) -> str:
    """Return a text with the slope that each method gives, and the largest relative error."""
    slopes = {name: check.analytic for name, check in comparison.checks.items()}
    named = [f"{name} {slope:.9g}" for name, slope in {"numeric": comparison.worst.numeric, **slopes}.items()]
    return f"{', '.join(named)}, relative error {comparison.error:.1e}"


def seconds(action: Callable[[], object], repeats: int = 9) -> float:
    """Call an action several times, and return the median duration of a call in seconds."""
    times: list[float] = []
    for _ in range(repeats):
        before = time.perf_counter()
        action()
        times.append(time.perf_counter() - before)
    return median(times)


def duration(value: float) -> str:
    """Return a duration in seconds as a text with a suitable unit, such as ``3.5 ms``."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "minutes")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value / 3600:.3g} hours"


def note_sweep(config: DictConfig) -> None:
    """If the experiment is a sweep, print a note that only one run is checked: the base of the experiment."""
    typed = [word.partition("=")[0] for word in typed_words(config, "task")]
    params = {key: values for key, values in (config.hydra.sweeper.params or {}).items() if key not in typed}
    words = [f"{key}={values}" for key, values in params.items() if not is_seed(key)]
    if words or config.sweep.variants:
        choices = config.hydra.runtime.choices
        base = [f"{key}={choices.get(key) or OmegaConf.select(config, key)}" for key in params if not is_seed(key)]
        note(
            f"experiment={choices.experiment} is a sweep of {' '.join(words) or 'sweep.variants'}; the check takes "
            f"{' '.join(base) or 'its base'}, unless you type other values"
        )


def check_one(application: Application, config: DictConfig, command: list[str], ranks: Ranks) -> None:
    """Check the gradient of a composed config (see `check_gradients`)."""
    if config.hydra.mode != RunMode.MULTIRUN:
        note_sweep(config)
    Command.once(CheckGradientsConfig, check_gradients).action(application, config, command, ranks)


COMMAND = Command(CheckGradientsConfig, check_one)
