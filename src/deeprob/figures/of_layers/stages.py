"""The plane inside a network: its points, a grid and the boundary after each stage, projected to two dimensions."""

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
"""The most training points."""

SAMPLES = 400
"""The number of points per grid line: enough for a sharp fold."""

JUMP = 0.5
"""A line is torn where a feature changes by more than this many standard deviations from one point to the next."""


@dataclass(frozen=True)
class Projection:
    """An affine map from a stage's units to the plane.

    Attributes
    ----------
    centre, axes
        (H,) and (H, 2): values (…, H) are projected to (values − centre) · axes.
    labels
        The names of the two coordinates.
    by_unit
        Whether the coordinates are units themselves.
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
        The training points after the stage (N, H) and their classes, in random order. So the first points are a
        sample of all classes.
    projection
        The projection of the stage to the plane.
    points, grid, boundary
        Projected coordinates of the training points (N, 2), of the grid lines (L, S, 2) and of the pieces of the
        boundary (m, 2). The first half of the grid lines have a constant x₁, the others a constant x₂. Lines are NaN
        where features are torn.
    """

    name: str
    train: Examples
    projection: Projection
    points: Tensor
    grid: Tensor
    boundary: list[Tensor]


def stages_of(run: Run, lines: int, resolution: int, units: Sequence[int] | None = None) -> list[Stage]:
    """Follow the plane of raw inputs through a run's features and model.

    Parameters
    ----------
    run
        A run with classes whose inputs are points of the plane.
    lines
        The number of grid lines in each direction.
    resolution
        The number of points in each direction among which the boundary is traced.
    units
        The two units, counted from 1, that represent a hidden layer of more than two units. None takes the first two
        principal components.

    Returns
    -------
    list[Stage]
        The input plane, the features if they change the inputs, and the stages of the model. With more than
        `caps.CLASSES` classes, the stages have no boundary.

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
    """Return which part is shown: the last `most` stages after the input (None for all), and whether boundaries are."""
    total = len(stage_names(run)) - 1
    most = total if most is None else most
    drawn = "" if len(run.classes) <= caps.CLASSES else f"no boundary, for there are {len(run.classes):,} classes"
    return in_words(some_of(min(most, total), total, "stages after the input", "the last"), drawn)


def stage_names(run: Run) -> list[str]:
    """Return the names of the stages that `stages_of` finds."""
    return [name for name, _ in stage_outcomes(run, [run.examples("train").inputs[:1].cpu()])]


@torch.no_grad()
def stage_outcomes(run: Run, pieces: Sequence[Tensor]) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield each stage's name and its values (…, H) in double precision for pieces (…, 2) of the raw plane."""
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
    """Return grid lines (2·lines, S, 2) over a part of the plane: lines of constant x₁, then lines of constant x₂."""
    left, right, bottom, top = limits
    (x, along_x), (y, along_y) = (
        [torch.linspace(*ends, count, dtype=torch.float64) for count in (lines, SAMPLES)]
        for ends in ((left, right), (bottom, top))
    )
    upright = torch.stack(torch.meshgrid(x, along_y, indexing="ij"), dim=-1)
    level = torch.stack(torch.meshgrid(y, along_x, indexing="ij"), dim=-1).flip(-1)
    return torch.cat([upright, level])


def stack(places: Sequence[Tensor], targets: Tensor) -> None:
    """Spread one coordinate into the plane, in place: the grid at 0, one row per class above it, boundaries across.

    Parameters
    ----------
    places
        Coordinates of points (N, 2), of the grid (L, S, 2) and of pieces of the boundary (m, 2). Their second
        coordinates are 0 before the call.
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
    """Return where lines (…, S, H) of standardised features jump: (…, S), True at the first point after a jump."""
    jumps = line.diff(dim=-2).abs().amax(-1) > JUMP
    return torch.cat([torch.zeros_like(jumps[..., :1]), jumps], dim=-1)


def project(name: str, train: Tensor, units: Sequence[int] | None = None) -> Projection:
    """Return the projection of a stage to the plane, fitted to the training points after the stage (N, H).

    One unit lies on a line, and two units are the coordinates. A wider hidden layer is shown by the two `units`, or by
    its first two principal components if `units` is None. The largest weight of each component is positive. More than
    two scores are always shown by principal components, without the mean of each point's scores, which decides nothing.
    So three scores are shown without loss.

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
    """Return the part of the plane to show around points (N, 2). A flat direction gets as much room as the other."""
    extent = points.amax(0) - points.amin(0)
    longest = extent.max().item() or 1.0
    room = torch.where(extent > 1e-6 * longest, margin * extent, longest / 2)
    (left, bottom), (right, top) = (points.amin(0) - room).tolist(), (points.amax(0) + room).tolist()
    return left, right, bottom, top


def joined(pieces: Sequence[Tensor] | Tensor) -> Tensor:
    """Return lines (m, 2) joined as one (M, 2), with NaN between them."""
    gap = torch.full((1, 2), torch.nan, dtype=torch.float64)
    return torch.cat([part for piece in pieces for part in (piece, gap)] or [gap])


def stage_title(name: str) -> str:
    """Return the name of a stage as a title."""
    return name.replace("_", " ")
