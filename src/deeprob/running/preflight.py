"""Checks before a long run. Each check prints one line. If a check fails, the run ends with an error."""

import math
from collections.abc import Iterator
from pathlib import Path

import torch

from deeprob import randomness
from deeprob.assembly.setup import Setup
from deeprob.data import Examples
from deeprob.errors import CheckFailed
from deeprob.objective import CrossEntropyConfig, FocalConfig
from deeprob.tracking.device import device_name
from deeprob.training import evaluate
from deeprob.training.trial import gradient_norm, overfit


def preflight(setup: Setup, directory: Path) -> None:
    """Check a run before its first update, and print the results.

    Raises
    ------
    CheckFailed
        If a check fails. The message names all failed checks.
    """
    failed = []
    for name, holds, found in checks(setup, directory):
        print(f"{'ok  ' if holds else 'FAIL'}  {name:<18}  {found}", flush=True)
        if not holds:
            failed.append(name)
    if failed:
        raise CheckFailed(f"preflight: {', '.join(failed)} failed")


def checks(setup: Setup, directory: Path) -> Iterator[tuple[str, bool, str]]:
    """Run each check. Yield its name, its result (True if it passes), and a text with the measured value."""
    probe = directory / ".preflight"
    probe.write_bytes(bytes(1024))
    probe.unlink()
    yield "output is writable", True, str(directory)

    splits = setup.splits
    named = {"train": splits.train, "val": splits.val, "test": splits.test}
    sizes = ", ".join(f"{len(part)} {name}" for name, part in named.items() if part is not None)
    missing = [name for number, name in enumerate(splits.classes) if not (splits.train.targets == number).any()]
    finite = all(
        bool(part.inputs.isfinite().all() and part.targets.isfinite().all())
        for part in named.values()
        if part is not None
    )
    lacking = f"; no example of {', '.join(missing[:3])} to train on" if missing else ""
    yield "data is complete", finite and not missing, sizes + lacking + ("" if finite else "; not all finite")

    state, features = setup.state, setup.predictor.features
    sample = splits.train[: min(len(splits.train), setup.batch_size, setup.chunk_size, 1024)]
    handful = few(splits.train, bool(splits.classes), features.output_count)

    scores = setup.predictor.scores(sample.inputs)
    yield (
        "device works",
        bool(scores.isfinite().all()),
        f"{device_name(state.device)}, {setup.config.trainer.precision}",
    )

    loss = evaluate(setup.predictor.scores, sample, setup.objective.loss, len(sample))["loss"]
    if isinstance(setup.config.loss, CrossEntropyConfig | FocalConfig):
        chance = setup.objective.loss(torch.zeros_like(scores), sample.targets).mean().item()
        yield "initial loss", abs(loss - chance) < 0.25 * chance, f"{loss:.4f}, {formula(setup)} = {chance:.4f}"
    else:
        yield "initial loss", math.isfinite(loss), f"{loss:.4g}"
    norm = gradient_norm(state.model, setup.objective, features, sample, setup.formulas)
    yield "gradient is finite", math.isfinite(norm) and norm > 0, f"norm {norm:.4g}"
    before, after = overfit(state.model, setup.objective.loss, features, handful, setup.formulas)
    yield (
        "learns a few examples",
        after < 0.1 * before,
        f"{len(handful)} examples: data loss {before:.4g} → {after:.4g}",
    )


def formula(setup: Setup) -> str:
    """Return the formula of the loss of examples whose C scores are equal: the text ``ln C`` for cross-entropy."""
    loss, outputs = setup.config.loss, setup.splits.outputs
    weight = "mean weight · " if loss.weighted else ""
    easy = f"(1 − 1/{outputs})^{loss.gamma:g} · " if isinstance(loss, FocalConfig) else ""
    return f"{weight}{easy}ln {outputs}"


def few(train: Examples, classes: bool, inputs: int) -> Examples:
    """Return a few examples that even a linear model can fit: at most 8, and at most `inputs` + 1.

    `inputs` is the number of features. If `classes` is True, each example has a different class.
    """
    count = min(len(train), inputs + 1, 8)
    order = randomness.permutation(randomness.key(0, "preflight", train.targets.device), len(train))
    if not classes:
        return train[order[:count]]
    shuffled = train.targets[order]
    firsts = [order[(shuffled == target).nonzero()[0, 0]] for target in torch.bincount(shuffled).nonzero()[:count, 0]]
    return train[torch.stack(firsts)]
