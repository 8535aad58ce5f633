"""What is measured on a model beyond loss and accuracy: its boundary, and how separable its layers make the classes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import contourpy
import torch
from torch import Tensor

from deeprob import randomness
from deeprob.data import Examples
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig
from deeprob.optim import LBFGSConfig

Limits = tuple[float, float, float, float]
"""A part of the plane: left, right, bottom, top."""


def limits_of(points: Tensor, margin: float = 0.1) -> Limits:
    """Return the part of the plane that holds points (N, 2), with a `margin` as a share of their extent around it."""
    low, high = points.amin(0), points.amax(0)
    frame = margin * (high - low).clamp(min=1e-6)
    (left, bottom), (right, top) = (low - frame).tolist(), (high + frame).tolist()
    return left, right, bottom, top


def grid(limits: Limits, resolution: int) -> Tensor:
    """Return (resolution², 2) float32 points that cover a part of the plane, row by row from the bottom."""
    left, right, bottom, top = limits
    x, y = torch.linspace(left, right, resolution), torch.linspace(bottom, top, resolution)
    return torch.stack([x.repeat(resolution), y.repeat_interleave(resolution)], dim=1)


def margins(scores: Tensor) -> Tensor:
    """Return by how much each of (N, C) scores leads the best of the others, (N, C): the winner's alone is positive.

    It is 0 on the boundary between two classes and changes smoothly across it, which the winner's number does not.
    """
    two, places = scores.topk(2, dim=1)
    best_other = two[:, :1].expand_as(scores).scatter(1, places[:, :1], two[:, 1:])
    return scores - best_other


def boundary_fields(scores: Tensor) -> Tensor:
    """Return functions of the plane that are 0 on the boundaries between classes.

    Parameters
    ----------
    scores
        (R², C) on a `grid`.

    Returns
    -------
    Tensor
        (K, R, R) margins of each class, K = C, so that each boundary is there twice, as that of either class; of two
        classes, which have the same boundary, those of the first alone, K = 1.
    """
    resolution = round(len(scores) ** 0.5)
    fields = margins(scores).T.reshape(-1, resolution, resolution)
    return fields if len(fields) > 2 else fields[:1]


def zero_lines(field: Tensor, limits: Limits) -> list[Tensor]:
    """Return the lines (m, 2) of float64 along which a function (R, R) on the grid of a part of the plane is 0."""
    left, right, bottom, top = limits
    x, y = (torch.linspace(*ends, len(field)).double().numpy() for ends in ((left, right), (bottom, top)))
    values = field.double().cpu().numpy()
    return [torch.from_numpy(line) for line in contourpy.contour_generator(x, y, values).lines(0.0)]


def boundary_length(scores: Callable[[Tensor], Tensor], limits: Limits, resolution: int = 200) -> float:
    """Return the length of all boundaries between classes within a part of the plane, in units of the inputs."""
    fields = boundary_fields(scores(grid(limits, resolution)))
    lines = [line for field in fields for line in zero_lines(field, limits)]
    length: float = sum(line.diff(dim=0).norm(dim=1).sum().item() for line in lines)
    return length / min(len(fields), 2)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute with one CPU thread: over many small operations two wait for each other more than they help."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def separability(train: Examples, test: Examples, iterations: int = 500, limit: int = 10_000) -> float:
    """Return the share of test examples that a linear classifier gets right, fitted to the training examples.

    It is softmax regression on standardised inputs, brought to its optimum by L-BFGS with a little L2 (1e-6) so that
    there is one; of a larger training set it sees `limit` examples drawn at random.

    Parameters
    ----------
    train, test
        Any (N, D) inputs, such as the outcome of a hidden layer, and class numbers (N,).
    """
    if len(train) > limit:
        train = train[randomness.permutation(randomness.key(0, "separability"), len(train))[:limit]]
    inputs = train.inputs.double().flatten(1)
    mean, deviation = inputs.mean(0), inputs.std(0)
    deviation = torch.where(deviation > 1e-9, deviation, 1.0)
    inputs = (inputs - mean) / deviation
    outputs = int(max(train.targets.max(), test.targets.max())) + 1
    model = LinearConfig().build(inputs.shape[1], outputs, randomness.generator(0, "separability")).double()
    optimizer = LBFGSConfig(max_iter=iterations).build(model.parameters())
    loss = CrossEntropyConfig().build()

    @torch.enable_grad()
    def closure() -> Any:  # a 0-d tensor, which torch's own hints do not foresee
        optimizer.zero_grad()
        value = loss(model(inputs), train.targets).mean() + 1e-6 * model.layer.weight.square().sum()
        torch.autograd.backward(value)
        return value

    with one_thread():
        optimizer.step(closure)
    with torch.no_grad():
        scores: Tensor = model((test.inputs.double().flatten(1) - mean) / deviation)
    return (scores.argmax(1) == test.targets).double().mean().item()
