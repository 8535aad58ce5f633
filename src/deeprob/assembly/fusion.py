"""Late fusion: combine the scores that separately trained runs give to the same examples."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deeprob import config as configs
from deeprob.assembly.finished import Run
from deeprob.data import Splits
from deeprob.errors import UserError
from deeprob.objective import CrossEntropyConfig, SquaredErrorConfig
from deeprob.optim.minimize import minimize
from deeprob.tracking import console

FUSIONS = ("mean", "weights")


@dataclass(frozen=True)
class Part:
    """The scores of one run.

    Attributes
    ----------
    name, features
        The run's directory, and the name of its features.
    scores
        The scores (N, C) of the examples on which the fusion is measured.
    held_out
        The scores (M, C) of the validation split; None if nothing is fitted on the validation split.
    logits
        Whether the softmax of the scores gives probabilities. It does if the run was trained with cross-entropy.
    """

    name: str
    features: str
    scores: Tensor
    held_out: Tensor | None = None
    logits: bool = True


@dataclass(frozen=True)
class Row:
    """One row of the table: a run or a fusion of all runs, its weight (if any), and its ``loss`` and ``accuracy``."""

    name: str
    features: str
    weight: float | None
    measured: dict[str, float]


def check_same(
    names: Sequence[str], data: Sequence[Splits], settings: Sequence[Mapping[str, Any]], splits: Sequence[str]
) -> None:
    """Check that all runs have the same classes and examples.

    Parameters
    ----------
    names, data, settings
        The directory of each run, its dataset, and the config of the dataset as a dictionary from dotted key to value.
    splits
        The splits that every run must have, with the same examples.

    Raises
    ------
    UserError
        If a run needs a validation split but has none, or if a run has other classes or examples than the first run.
        The message names the run and the keys that differ.
    """
    for name, part, setting in zip(names, data, settings, strict=True):
        if "val" in splits and part.val is None:
            raise UserError(
                f"{name}: held out no validation split, and fusion fits numbers on one: train with "
                "dataset.val_fraction=0.1, say (fusion=mean of loss=cross_entropy or squared_error needs none)"
            )
        differing = [f"{key}={value}" for key, value in setting.items() if value != settings[0].get(key)]
        cause = f" ({' '.join(differing)} differs)" if differing else ""
        if part.classes != data[0].classes:
            raise UserError(
                f"{name}: has {_named(part.classes)}, and {names[0]} has {_named(data[0].classes)}{cause}; "
                "fusion needs runs of one dataset"
            )
        for split in splits:
            one, other = getattr(part, split), getattr(data[0], split)
            if not (torch.equal(one.targets, other.targets) and torch.equal(one.inputs, other.inputs)):
                raise UserError(
                    f"{name}: its {split} split is not that of {names[0]}{cause}; fusion needs the same examples"
                )


def _named(classes: tuple[str, ...]) -> str:
    more = ", …" if len(classes) > 3 else ""
    return f"{len(classes)} classes ({', '.join(classes[:3])}{more})" if classes else "numbers to predict"


def fuse(parts: Sequence[Part], targets: Tensor, held_out: Tensor | None, how: str) -> list[Row]:
    """Measure each run, and the mean of the scores of all runs.

    If `how` is "weights", also measure the weighted sum of the scores. `fit_weights` fits the weights w. The rows show
    the share w/Σw of each run.

    Fusion computes Σₖ wₖ sₖ(x), where sₖ are the outputs of run k:

    - If the runs predict numbers, sₖ are these numbers.
    - If there are classes, sₖ are log-probabilities. Then the result is a product of experts p(y|x) ∝ Πₖ pₖ(y|x)^wₖ
      (Hinton, "Products of experts", 1999). A product suits runs with different features: if one run excludes a class,
      the product excludes the class.

    For a run with cross-entropy, the softmax of the scores gives the probabilities. The scores of a run with another
    loss have an unknown scale. So these scores are first divided by a `temperature` T. T is fitted on the validation
    split.

    Parameters
    ----------
    parts
        The scores of the runs.
    targets, held_out
        The targets of the examples and of the validation split: class numbers (N,), or floats (N, C).
    how
        One of `FUSIONS`.

    Returns
    -------
    list of Row
        The runs in their order, then the mean, then the weighted sum if there is one. So the last row is the fusion
        that `how` names.
    """
    numbers = targets.is_floating_point()
    outputs = torch.stack([_comparable(part, part.scores, held_out, numbers) for part in parts])
    equal = torch.full((len(parts),), 1 / len(parts), dtype=torch.float64)
    fused = [Row("mean", "", None, measure(mixed(outputs, equal, numbers), targets))]
    shares: list[float | None] = [None] * len(parts)
    if how == "weights":
        assert held_out is not None
        seen = torch.stack([_comparable(part, part.held_out, held_out, numbers) for part in parts])
        weights = fit_weights(seen, held_out)
        shares = (weights / weights.sum()).tolist()
        fused.append(Row("weights", "", None, measure(mixed(outputs, weights, numbers), targets)))
    alone = zip(parts, shares, outputs, strict=True)
    return [*(Row(part.name, part.features, share, measure(out, targets)) for part, share, out in alone), *fused]


def _comparable(part: Part, scores: Tensor | None, held_out: Tensor | None, numbers: bool) -> Tensor:
    """Return the log-probabilities (N, C) that belong to a run's scores (N, C).

    If `numbers` is True, the scores are predicted numbers. Then return them unchanged.
    """
    assert scores is not None
    values = scores.double().cpu()
    if not values.isfinite().all():
        raise UserError(f"{part.name}: its scores are not all finite; leave it out")
    if numbers:
        return values
    if part.logits:
        return values.log_softmax(1)
    assert part.held_out is not None
    assert held_out is not None
    return (values / temperature(part.held_out.double().cpu(), held_out)).log_softmax(1)


def mixed(outputs: Tensor, weights: Tensor, numbers: bool) -> Tensor:
    """Return the weighted sum (N, C) of the outputs (K, N, C) of K runs, with weights (K,).

    If `numbers` is True, the outputs are predicted numbers. If not, the outputs are log-probabilities. Then the sum is
    normalised, so that the probabilities of each example sum to 1.
    """
    pooled = torch.einsum("k,knc->nc", weights, outputs)
    return pooled if numbers else pooled.log_softmax(1)


def measure(outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """Return ``loss`` and ``accuracy`` of log-probabilities (N, C), given the class numbers (N,).

    If the outputs and the targets (N, C) are predicted numbers, return only ``loss``.
    """
    loss = _loss(outputs, targets).item()
    if targets.is_floating_point():
        return {"loss": loss}
    return {"loss": loss, "accuracy": (outputs.argmax(1) == targets).double().mean().item()}


def _loss(outputs: Tensor, targets: Tensor) -> Tensor:
    if targets.is_floating_point():
        return SquaredErrorConfig().build()(outputs, targets).mean()
    return F.nll_loss(outputs, targets)


def temperature(scores: Tensor, targets: Tensor) -> float:
    """Return the temperature T > 0 for which softmax(s/T) has the smallest cross-entropy.

    See Guo et al., "On calibration of modern neural networks", 2017. T changes neither the order of the scores nor the
    predicted class.

    Parameters
    ----------
    scores, targets
        The scores s (M, C) and the class numbers (M,) of examples on which the run was not trained.
    """
    scale = scores.std(correction=int(scores.numel() > 1)).clamp(min=1e-12)

    def loss(log_inverse: Tensor) -> Tensor:
        return F.cross_entropy(scores / scale * log_inverse.exp(), targets)

    return (scale / _minimum(loss, 1).exp()).item()


def fit_weights(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the weights w (K,), w ≥ 0, for which `mixed` has the smallest loss.

    If runs predict numbers, Σ w = 1. If there are classes, Σ w may be any number. A larger Σ w makes the product
    sharper, but does not change the predicted class.

    The search varies z, where w = exp(z) for classes and w = softmax(z) for numbers. The loss is convex in w. So a
    point with w > 0 is the minimum if the gradient in z is 0 there.

    Parameters
    ----------
    outputs, targets
        Log-probabilities or predictions (K, M, C) for the validation split, and its targets.
    """
    numbers = targets.is_floating_point()

    def weights(z: Tensor) -> Tensor:
        return z.softmax(0) if numbers else z.exp()

    def loss(z: Tensor) -> Tensor:
        return _loss(mixed(outputs, weights(z), numbers), targets)

    return weights(_minimum(loss, len(outputs)))


def _minimum(loss: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """Return the point (count,) at which a smooth function is lowest. The search by L-BFGS starts at 0."""
    numbers = nn.Parameter(torch.zeros(count, dtype=torch.float64))
    minimize(lambda: loss(numbers), [numbers], 500)
    return numbers.detach()


def print_table(rows: Sequence[Row]) -> None:
    """Print the rows of `fuse` as a table."""
    weighted = any(row.weight is not None for row in rows)
    classes = "accuracy" in rows[0].measured
    header = ["run", "features", *["weight"] * weighted, "cross-entropy" if classes else "squared error"]
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("name", "features")]
    table = console.LiveTable([*header, *["accuracy"] * classes], widths)
    for row in rows:
        weight = "" if row.weight is None else f"{row.weight:.3f}"
        numbers = [console.shown(name, row.measured) for name in row.measured]
        table.row([row.name, row.features, *[weight] * weighted, *numbers])


def fuse_runs(runs: Sequence[Run], split: str, how: str) -> list[Row]:
    """Fuse the scores of runs on a split (see `fuse`).

    Raises
    ------
    UserError
        If the datasets of the runs differ, or if weights or temperatures must be fitted but there is no validation
        split.
    """
    first, *others = runs
    for place, run in enumerate(others):  # datasets with equal configs are loaded once
        if (run.config.dataset, *run.frame) == (first.config.dataset, *first.frame):
            others[place] = dataclasses.replace(run, raw=first.data())
    runs = [first, *others]
    names = [str(run.directory) for run in runs]
    logits = [isinstance(run.config.loss, CrossEntropyConfig) for run in runs]
    fitting = how == "weights" or (bool(first.classes) and not all(logits))
    settings = [{k: v for k, v in configs.flat(run.config).items() if k.startswith("dataset")} for run in runs]
    check_same(names, [run.data() for run in runs], settings, [split, *["val"] * fitting])
    unit = first.in_training_units  # losses are comparable only in one unit
    parts = [
        Part(
            name,
            configs.name_of(run.config.features),
            unit(run.scores(split)),
            unit(run.scores("val")) if fitting else None,
            own,
        )
        for name, run, own in zip(names, runs, logits, strict=True)
    ]
    held_out = unit(first.examples("val").targets) if fitting else None
    return fuse(parts, unit(first.examples(split).targets), held_out, how)
