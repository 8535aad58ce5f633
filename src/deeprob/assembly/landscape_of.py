"""The loss landscape L(W) of a finished run, and the weights of the run at its start and at its end."""

import dataclasses

import torch
from torch import Tensor

from deeprob import config as configs
from deeprob import randomness
from deeprob.analysis.landscape.directions import Point
from deeprob.analysis.landscape.landscape import Landscape
from deeprob.assembly.finished import Run
from deeprob.assembly.setup import build_loss, initial_model
from deeprob.objective import Objective, weights


def landscape_of(run: Run, split: str, examples: int, seed: int, dtype: torch.dtype | None = None) -> Landscape:
    """Return the loss landscape L(W) of a run, computed on at most `examples` random examples of a split.

    `seed` decides which examples are drawn. `dtype` is the dtype of the landscape. If it is None, the dtype of the run
    is used.
    """
    raw = run.examples(split)
    order = randomness.permutation(randomness.key(seed, "landscape/examples"), len(raw))[:examples]
    chosen = raw[order.to(raw.targets.device)]
    seen, targets = run.features_of(split, order), run.in_training_units(chosen.targets)
    dtype = dtype or seen.dtype
    objective = Objective(build_loss(run.config.loss, run.data()), run.config.regularizer.build())
    examples_seen = dataclasses.replace(chosen, inputs=seen, targets=targets).to(seen.device)
    return Landscape(run.model, objective, examples_seen).to(dtype)


def enough(run: Run, points: int, most: int = 1000, operations: float = 4e10) -> int:
    """Return the number of examples for which computing the loss at `points` points takes about one second.

    The number is at least 32, and at most `most`. `operations` is the number of floating-point operations per second.
    """
    matrices = list(weights(dict(run.model.named_parameters())).values())
    later = sum(weight.numel() for weight in (matrices[1:] if run.model.linear_layers else matrices))
    widest = max(len(weight) for weight in matrices)
    return max(32, min(most, int(operations / (2 * points * (later + 8 * widest)))))


def start_of(run: Run) -> dict[str, Tensor]:
    """Compute the initial weights of a run from its seed, and return them."""
    model = initial_model(run.config, run.predictor.features.output_count, run.predictor.outputs)
    like = next(run.model.parameters())
    return {name: tensor.detach().to(like) for name, tensor in model.named_parameters()}


def weights_of(run: Run, like: Point) -> dict[str, Tensor]:
    """Return the weights of a run. They get the device and the dtype of the weights `like`."""
    return {name: tensor.detach().to(like[name]) for name, tensor in run.model.named_parameters()}


def other_architecture(run: Run, other: Run) -> str:
    """Return a message that says how the models of two runs differ.

    The message names keys of ``model`` or ``features``, or the number of inputs or classes. If the weights of both runs
    have the same shapes, the message is empty. Then the loss can be computed on the line between these weights.
    """
    one, two = (
        configs.flat(dataclasses.replace(r.config, loss=run.config.loss, optimizer=run.config.optimizer))
        for r in (run, other)
    )
    keys = [
        key
        for key in sorted({**one, **two})
        if key.partition(".")[0] in ("model", "features") and key != "model.dropout" and one.get(key) != two.get(key)
    ]
    if keys:
        return ", ".join(f"{key}={two.get(key)} in place of {one.get(key)}" for key in keys)
    sizes = [{name: tuple(tensor.shape) for name, tensor in r.model.named_parameters()} for r in (run, other)]
    return "" if sizes[0] == sizes[1] else "another number of inputs or classes"


def has_running_means(run: Run) -> bool:
    """Return whether a run has batch norm with running means.

    Running means are valid only near the weights with which they were computed.
    """
    return any("running_mean" in name for name, _ in run.model.named_buffers())
