"""The input plane after each stage of a network: points, a grid and the boundary, projected to two dimensions.

The stages are the input, the features, the linear part and the activation of each layer, and the scores.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from deeprob import config as configs
from deeprob import randomness
from deeprob.analysis.plane import Limits, limits_of
from deeprob.assembly.finished import Run
from deeprob.data import Examples
from deeprob.errors import UserError
from deeprob.figures import caps
from deeprob.figures.base import plane_names
from deeprob.figures.caps import in_words, some_of
from deeprob.figures.of_layers.tracing import trace

INPUT, SCORES = "input", "scores"

MOST = 10_000
"""The largest number of training points that are moved through a network."""

SAMPLES = 400
"""The number of points per grid line. It is large enough to show sharp folds."""

JUMP = 0.5
"""The largest change of a feature between neighbouring points of a line, in standard deviations.

If the change is larger, the line has a gap.
"""


@dataclass(frozen=True)
class Projection:
    """An affine map from a stage's units to the plane.

    Attributes
    ----------
    centre, axes
        The centre (H,) and the axes (H, 2). Values (…, H) are projected to (values − centre) · axes.
    labels
        The names of the two coordinates.
    by_unit
        Whether each coordinate is the value of a single unit (neuron).
    """

    centre: Tensor
    axes: Tensor
    labels: tuple[str, str]
    by_unit: bool

    def __call__(self, values: Tensor) -> Tensor:
        """Return the coordinates (…, 2) of values (…, H)."""
        return (values - self.centre) @ self.axes


@dataclass(frozen=True)
class Stage:
    """The plane after a stage of a network.

    Attributes
    ----------
    name
        ``input``, ``linear 1``, ``relu 1``, …, ``scores``.
    train
        The training points after the stage (N, H) and their classes. The order is random, so that the first points are
        a sample of all classes.
    projection
        The projection of the stage to the plane.
    points
        The projected training points (N, 2).
    grid
        The projected grid lines (L, S, 2). On the first half of the lines, x₁ is constant. On the second half, x₂
        is constant. NaN marks a gap in a line.
    boundary
        The projected pieces (m, 2) of the boundary. NaN marks a gap in a line.
    """

    name: str
    train: Examples
    projection: Projection
    points: Tensor
    grid: Tensor
    boundary: list[Tensor]


def stages_of(run: Run, lines: int, resolution: int, units: Sequence[int] | None = None) -> list[Stage]:
    """Return the plane of raw inputs after each stage of a run's features and model.

    Parameters
    ----------
    run
        A run with classes whose inputs are points of the plane.
    lines
        The number of grid lines in each direction.
    resolution
        The boundary is computed on a grid of points. This is the number of its points in each direction.
    units
        The two units that are the axes of hidden layers with more than two units. The first unit is 1. If None, the
        axes are the first two principal components.

    Returns
    -------
    list[Stage]
        The input plane, then the features (only if they change the inputs), then the stages of the model. If there are
        more than `caps.CLASSES` classes, the stages have no boundary.

    Raises
    ------
    UserError
        When a layer lacks one of the units.
    """
    examples = run.examples("train").to(torch.device("cpu"))
    order = randomness.permutation(randomness.key(0, "feature space"), len(examples))
    chosen = examples[order[:MOST]]
    train = chosen.inputs
    limits = limits_of(examples.inputs)
    boundary = trace(run, limits, resolution) if len(run.classes) <= caps.CLASSES else []
    pieces = [train, grid_lines(limits, lines), *boundary]
    torn: list[Tensor] = []
    stages = []
    for name, outcomes in stage_outcomes(run, pieces):
        projection = project(name, outcomes[0], units)
        if name == INPUT:
            projection = replace(projection, labels=plane_names(run))
        places = [projection(outcome) for outcome in outcomes]
        if outcomes[0].shape[1] == 1:
            stack(places, chosen.targets)
        if name == configs.name_of(run.config.features):
            torn = [tears(outcome) for outcome in outcomes[1:]]
        train_after = Examples(outcomes[0], chosen.targets)
        stages.append(Stage(name, train_after, projection, places[0], places[1], places[2:]))
    for stage in stages if torn else []:
        for line, gaps in zip((stage.grid, *stage.boundary), torn, strict=True):
            line[gaps] = torch.nan
    return stages


def cut_of_stages(run: Run, most: int | None) -> str:
    """Return a text that says how many stages are shown, and whether boundaries are missing.

    The last `most` stages after the input are shown. If `most` is None, all stages are shown. If nothing is left out,
    the text is empty.
    """
    total = len(stage_names(run)) - 1
    most = total if most is None else most
    drawn = "" if len(run.classes) <= caps.CLASSES else f"no boundary, for there are {len(run.classes):,} classes"
    return in_words(some_of(min(most, total), total, "stages after the input", "the last"), drawn)


def stage_names(run: Run) -> list[str]:
    """Return the names of the stages that `stages_of` returns."""
    return [name for name, _ in stage_outcomes(run, [run.examples("train").inputs[:1].cpu()])]


@torch.no_grad()
def stage_outcomes(run: Run, pieces: Sequence[Tensor]) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield the name of each stage, and the values of its H units at points of the input plane.

    For each tensor (…, 2) of points in `pieces`, there is a tensor (…, H) of values in double precision.
    """
    raw = torch.cat([piece.reshape(-1, 2) for piece in pieces])
    model = run.model
    training = model.training
    model.eval()
    features = run.features(raw)
    extracted = [] if run.config.features.unchanged else [(configs.name_of(run.config.features), features.flatten(1))]
    for name, values in itertools.chain([(INPUT, raw)], extracted, model.stages(features)):
        parts = torch.split(values.double().cpu(), [piece.shape[:-1].numel() for piece in pieces])
        yield name, [part.view(*piece.shape[:-1], -1) for part, piece in zip(parts, pieces, strict=True)]
    model.train(training)


def grid_lines(limits: Limits, lines: int) -> Tensor:
    """Return grid lines (2·lines, S, 2) over a part of the plane.

    On the first half of the lines, x₁ is constant. On the second half, x₂ is constant.
    """
    left, right, bottom, top = limits
    (x, along_x), (y, along_y) = (
        [torch.linspace(*ends, count, dtype=torch.float64) for count in (lines, SAMPLES)]
        for ends in ((left, right), (bottom, top))
    )
    upright = torch.stack(torch.meshgrid(x, along_y, indexing="ij"), dim=-1)
    level = torch.stack(torch.meshgrid(y, along_x, indexing="ij"), dim=-1).flip(-1)
    return torch.cat([upright, level])


def stack(places: Sequence[Tensor], targets: Tensor) -> None:
    """Choose second coordinates for a stage that has only one unit. The tensors `places` are changed.

    The grid stays at height 0. The points of each class form one row above the grid. Boundaries cross all rows.

    Parameters
    ----------
    places
        The coordinates of the points (N, 2), of the grid (L, S, 2) and of the pieces of the boundary (m, 2). All
        second coordinates are 0 before the call.
    targets
        The points' classes (N,).
    """
    points, _, *boundary = places
    classes = int(targets.max()) + 1
    row = ((points[:, 0].amax() - points[:, 0].amin()).item() or 1.0) / (classes + 1)
    points[:, 1] = row * (targets + 1)
    for piece in boundary:
        piece[:, 1] = torch.linspace(-row, row * (classes + 1), len(piece))


def tears(line: Tensor) -> Tensor:
    """Return a mask (…, S) that is True at the first point after each jump of a line.

    The shape of `line` is (…, S, H): S points with H standardised features.
    """
    jumps = line.diff(dim=-2).abs().amax(-1) > JUMP
    return torch.cat([torch.zeros_like(jumps[..., :1]), jumps], dim=-1)


def project(name: str, train: Tensor, units: Sequence[int] | None = None) -> Projection:
    """Return the projection of a stage to the plane. `train` holds the training points (N, H) after the stage.

    If the stage has one or two units, they are the coordinates. If a hidden layer has more units, the coordinates are
    the two `units`. If `units` is None, they are the first two principal components. In each component, the weight of
    largest magnitude is positive.

    If there are more than two scores, the coordinates are always principal components. Before they are computed, the
    mean score of each point is subtracted from its scores, which does not change the predicted class. So three scores
    fit into the plane exactly.

    Raises
    ------
    UserError
        When the layer lacks one of the units.
    """
    width = train.shape[1]
    if width > 2 and (units is None or name == SCORES):
        centred = train - train.mean(0)
        if name == SCORES:
            centred = centred - centred.mean(1, keepdim=True)
        _, values, rows = torch.linalg.svd(centred, full_matrices=len(centred) < 2)  # two axes even for one example
        values = torch.cat([values, values.new_zeros(max(0, 2 - len(values)))]).double()
        rows = rows[:2] * rows[:2].gather(1, rows[:2].abs().argmax(1, keepdim=True)).sign()
        shares = (100 * values.square() / values.square().sum().clamp(min=1e-300))[:2].tolist()
        labels = [f"PC {place} ({share:.0f} % of variance)" for place, share in enumerate(shares, 1)]
        return Projection(train.mean(0), rows.T, (labels[0], labels[1]), by_unit=False)
    first, second = units if units is not None and width > 2 else (1, 2)
    if max(first, second) > width > 2:
        shown = f"[{first},{second}]"
        raise UserError(f"figure.units={shown}: expected units from 1 to {width}, the width of the layer {name}")
    axes = torch.zeros(width, 2, dtype=train.dtype)
    axes[first - 1, 0] = 1
    if width > 1:
        axes[second - 1, 1] = 1
    return Projection(torch.zeros_like(train[0]), axes, unit_labels(name, first, second, width), by_unit=True)


def unit_labels(name: str, first: int, second: int, width: int) -> tuple[str, str]:
    """Return the axis labels of two units of a stage."""
    if name not in (INPUT, SCORES) and " " not in name:
        return f"feature {first}", f"feature {second}"
    symbol = {INPUT: "x", SCORES: "f"}.get(name, "h")
    return f"${symbol}_{{{first}}}$", f"${symbol}_{{{second}}}$" if width > 1 else "a row for each class"


def frame_of(points: Tensor, margin: float = 0.1) -> Limits:
    """Return the part of the plane to show around points (N, 2).

    If all points have the same x, the frame is centred on this x and as wide as the extent of y. The same holds for y.
    """
    extent = points.amax(0) - points.amin(0)
    longest = extent.max().item() or 1.0
    room = torch.where(extent > 1e-6 * longest, margin * extent, longest / 2)
    (left, bottom), (right, top) = (points.amin(0) - room).tolist(), (points.amax(0) + room).tolist()
    return left, right, bottom, top


def joined(pieces: Sequence[Tensor] | Tensor) -> Tensor:
    """Join lines (m, 2) to one line (M, 2). NaN separates the original lines."""
    gap = torch.full((1, 2), torch.nan, dtype=torch.float64)
    return torch.cat([part for piece in pieces for part in (piece, gap)] or [gap])


def stage_title(name: str) -> str:
    """Return the name of a stage as a title."""
    return name.replace("_", " ")
