"""``deeprob-check-gradients``: compares numeric with analytic gradients, one row per tensor, and times both."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median

from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.func import functional_call

from deeprob.analysis.gradients.differences import EntryCheck, Loss, Parameters, analytic, check_entries
from deeprob.analysis.gradients.slopes import EPSILON, ROUNDING, STEP
from deeprob.assembly.config import RunConfig, TrainConfig, is_seed
from deeprob.assembly.setup import Setup
from deeprob.commands.command import Command
from deeprob.config import number, register
from deeprob.config.application import Application, typed_words
from deeprob.errors import CheckFailed, memory_errors
from deeprob.figures.of_loss.gradient_errors import error_curve, gradient_errors
from deeprob.figures.style import save_figure
from deeprob.models import Model
from deeprob.models.norms import BatchNorm
from deeprob.objective import Objective
from deeprob.objective.regularizers import ElasticNet
from deeprob.tracking.console import LiveTable, note
from deeprob.tracking.device import threads
from deeprob.training.loop import draws_of

PICTURE = Path("outputs/figures/gradient_check.png")
STEPS = [10 ** (exponent / 2) for exponent in range(-26, -1)]
"""The steps of the picture: from 1e-13 to 0.1, two per decade."""


@dataclass(kw_only=True, slots=True)
class CheckConfig:
    """The settings of the gradient check.

    Attributes
    ----------
    entries
        The number of entries compared in each tensor, drawn with the run's seed. ``all`` compares every entry.
    examples
        The number of examples in the batch. It is the first batch of a run with this batch size.
    step
        The step h. An entry w is changed by h · max(1, |w|). null is 6.1e-6, the cube root of float64's ε.
    tolerance
        The largest relative error that passes. It is at least 1e-8, because float64 is too coarse for less.
    curve
        Whether to draw the error against the step h.
    """

    entries: int | str = number(64, minimum=1, words=("all",))
    examples: int = number(32, minimum=1)
    step: float | None = number(None, above=0, below=1, optional=True, whole=False)
    tolerance: float = number(1e-6, minimum=1e-8, below=1)
    curve: bool = True


@register("", "check_gradients")
@dataclass(kw_only=True, slots=True)
class CheckGradientsConfig(TrainConfig):
    """The config of ``deeprob-check-gradients``: the config of ``deeprob-train``, and the settings of the check."""

    check: CheckConfig = field(default_factory=CheckConfig)


def check_gradients(config: CheckGradientsConfig) -> list[EntryCheck]:
    """Check the gradient of a config's objective at the initial weights, print the result and draw it.

    Raises
    ------
    CheckFailed
        If an entry is wrong. The message names the worst entry.
    """
    check = config.check
    with memory_errors():
        setup = in_float64(config.run, check.examples)
        with threads(config.trainer.threads if isinstance(config.trainer.threads, int) else 1):
            return report(setup, check)


def in_float64(config: RunConfig, examples: int) -> Setup:
    """Return a run's setup in float64 on the CPU, with `examples` per batch."""
    config = config.resolved()
    trainer = dataclasses.replace(config.trainer, device="cpu", precision="float64", batch_size=examples)
    return Setup.build(dataclasses.replace(config, trainer=trainer))


def first_loss(setup: Setup, objective: Objective) -> Loss:
    """Return the loss L(W) as a function of the parameters, with the batch and the dropout mask of the first update."""
    model = without_running_means(setup.predictor.model)
    batch, dropout = draws_of(setup.learner, setup.splits.train, setup.settings)[0]
    inputs = setup.predictor.features(batch.inputs)

    def loss(parameters: Parameters) -> Tensor:
        scores = functional_call(model, dict(parameters), (inputs, dropout), tie_weights=False)
        return objective(scores, batch.targets, parameters).loss

    return loss


def without_running_means(model: Model) -> Model:
    """Turn off the running statistics of batch norm, so that a loss does not depend on earlier losses."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.track_running_stats = False
    return model


def differentiable(objective: Objective) -> Objective:
    """Return an objective without the term that a proximal step handles instead of a gradient."""
    regularizer = objective.regularizer
    if isinstance(regularizer, ElasticNet) and regularizer.proximal:
        note("regularizer.proximal=true: λ₁Σ|W| is left out, because a proximal step handles it, not the gradient")
        return Objective(objective.loss, ElasticNet(0.0, regularizer.l2))
    return objective


class Timed:
    """A loss that measures its own time."""

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
        """The mean seconds per call."""
        return self._seconds / self._calls


def report(setup: Setup, check: CheckConfig) -> list[EntryCheck]:
    """Compare the gradients, print and draw the result, and check it (see `check_gradients`)."""
    parameters = {name: tensor.detach() for name, tensor in setup.state.parameters.items()}
    loss = first_loss(setup, setup.objective)
    value = loss(parameters).item()
    if not math.isfinite(value):
        raise CheckFailed(f"L(W) is {value} at the initial weights: there is no gradient to check")
    numeric = Timed(first_loss(setup, differentiable(setup.objective)))
    step = check.step or STEP
    comparisons = check_entries(
        numeric,
        lambda point: analytic(loss, point),
        parameters,
        entries=check.entries if isinstance(check.entries, int) else None,
        step=step,
        tolerance=check.tolerance,
        seed=setup.config.seed,
    )
    found = tabulated(comparisons, parameters)
    noise = ROUNDING * EPSILON * abs(value) / step
    print(f"error      |n − a| / max(|n|, |a|, {noise / check.tolerance:.1e}), with h = {step:.1e}·max(1, |w|)")
    print(
        f"floor      rounding of L changes n by at most {noise:.1e} = "
        f"{check.tolerance:.0e}·{noise / check.tolerance:.1e}"
    )
    worst = worst_of(found)
    if worst is not None:
        print(f"worst      {worst.where}: {numbers(worst)}")
    if kinks := [comparison for comparison in found if comparison.verdict == "kink"]:
        print(f"kinks      {len(kinks)} entries with a kink of L within h, such as {kinks[0].where}: no errors")
    one, all_at_once = numeric.seconds, seconds(lambda: analytic(loss, parameters))
    every, count = 2 * setup.parameters * one, f"{setup.parameters:,}"
    print(f"numeric    {duration(every)} for all {count} parameters: extrapolated from {duration(one)} per loss")
    print(f"analytic   {duration(all_at_once)} for all: numeric takes {every / all_at_once:,.0f} times as long")
    if check.curve and (curve := error_curve(found, STEPS)):
        save_figure(gradient_errors(curve, step, check.tolerance), PICTURE)
        print(f"figure     {PICTURE}")
    wrong = sum(comparison.verdict == "wrong" for comparison in found)
    if wrong and worst is not None:
        raise CheckFailed(f"wrong gradient ({wrong} of {len(found)} checked), worst {worst.where}: {numbers(worst)}")
    return found


def tabulated(comparisons: Iterable[EntryCheck], parameters: Parameters) -> list[EntryCheck]:
    """Print the row of each tensor when the tensor has been compared, and return all comparisons."""
    found = []
    header = ("tensor", "shape", "entries", "central", "one-sided", "kinks", "verdict")
    shapes = {name: "×".join(map(str, tensor.shape)) for name, tensor in parameters.items()}
    widths = [max(map(len, parameters)), max(map(len, shapes.values()))]
    view = LiveTable(header, widths, len("64/16384"))
    for name, group in groupby(comparisons, lambda comparison: comparison.tensor):
        rows = list(group)
        found += rows
        sound = [row for row in rows if row.verdict != "kink"]
        entries, size = sum(row.place is not None for row in rows), parameters[name].numel()
        wrong = sum(row.verdict == "wrong" for row in rows)
        view.row(
            (
                name,
                shapes[name],
                f"all {size}" if entries == size else f"{entries}/{size}",
                f"{max(row.error for row in sound):.1e}" if sound else "",
                f"{max(row.one_sided_error for row in sound):.1e}" if sound else "",
                str(len(rows) - len(sound)),
                f"{wrong} wrong" if wrong else "ok",
            ),
            style="red" if wrong else "",
        )
    return found


def worst_of(found: Iterable[EntryCheck]) -> EntryCheck | None:
    """Return the comparison with the largest error. Wrong entries go first, and kinks are left out."""
    sound = [comparison for comparison in found if comparison.verdict != "kink"]
    return max(sound, key=lambda comparison: (comparison.verdict == "wrong", comparison.error), default=None)


def numbers(comparison: EntryCheck) -> str:
    """Return a text with both slopes and their relative error."""
    both = f"numeric {comparison.numeric:.9g}, analytic {comparison.analytic:.9g}"
    return f"{both}, relative error {comparison.error:.1e}"


def seconds(action: Callable[[], object], repeats: int = 9) -> float:
    """Return the median duration of an action, in seconds."""
    times: list[float] = []
    for _ in range(repeats):
        before = time.perf_counter()
        action()
        times.append(time.perf_counter() - before)
    return median(times)


def duration(value: float) -> str:
    """Return seconds as a text with a suitable unit."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (120.0, 1.0, "s"), (7200.0, 1 / 60, "minutes")):
        if value < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value / 3600:.3g} hours"


def note_sweep(config: DictConfig) -> None:
    """Print a note if the experiment is a sweep, because the check takes one run: the base of the experiment."""
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


def check_one(application: Application, config: DictConfig, command: list[str]) -> None:
    """Check the gradient of a composed config (see `check_gradients`)."""
    if config.hydra.mode != RunMode.MULTIRUN:
        note_sweep(config)
    Command.once(CheckGradientsConfig, check_gradients).action(application, config, command)


COMMAND = Command(CheckGradientsConfig, check_one)
