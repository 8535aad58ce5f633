"""Make banks of templates for runs whose inputs are pictures: choose units, sort them and write captions.

A template is a vector of weights, drawn as a picture. A unit feeds a class if it raises the class's score.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from deeprob.figures.bank import TALLEST, WIDTH, Bank, Tile, picture
from deeprob.figures.of_models.units import recombined
from deeprob.figures.style import shortened

ROW, MOST = 12, 64
"""The default number of pictures in the row of a class, and in a whole bank of units."""


def bank_of_classes(v: Tensor, names: Sequence[str]) -> Bank:
    """Return a bank of the templates (C, 1, 3, H, W) of classes. Above each template is the name of the class."""
    rows = -(-len(v) // (5 if len(v) <= 15 else 10))
    columns = -(-len(v) // rows)
    letters = int(min(TALLEST * v.shape[4] / v.shape[3], WIDTH / columns) / 0.078)
    return Bank(in_rows([Tile(picture(t), shortened(n, letters)) for t, n in zip(v, names, strict=True)], columns))


def overview(v: Tensor, weights: Tensor, names: Sequence[str], most: int | None, two_layers: bool) -> Bank:
    """Return a bank with one row per class. Each row shows the units that feed the class most.

    If the network has two layers, each row begins with the sum of all templates. The sum is weighted by W₂.

    Parameters
    ----------
    v, weights
        The templates (U, P, 3, H, W) of the units, and the strengths (C, U) with which units feed classes.
    names
        The names of the classes.
    most
        The largest number of units per class. If None, a row has about `ROW` pictures of units.
    two_layers
        Whether the network has two layers. If it has, `weights` is W₂. If not, rows have no sum.
    """
    order = weights.argsort(dim=1, descending=True, stable=True)[:, : most or max(1, ROW // v.shape[1])]
    rows = [[Tile(picture(v[unit])) for unit in row] for row in order.tolist()]
    if two_layers:
        sums = recombined(v, weights)
        high, wide, _ = rows[0][0].pixels.shape
        white = Tile(torch.ones(high, max(1, wide // v.shape[1] // 8), 3))
        rows = [[Tile(picture(total[None])), white, *row] for total, row in zip(sums, rows, strict=True)]
    before = "all templates summed by W₂; then " if two_layers else ""
    title = f"For each class: {before}the units that feed it most{_by(two_layers)}, strongest first{_side(v)}"
    return Bank(rows, [shortened(name, 14) for name in names], title)


def bank_of_units(
    v: Tensor, weights: Tensor, names: Sequence[str], cls: int | None, most: int | None, two_layers: bool
) -> Bank:
    """Return a bank of the units that feed the class `cls` most. The strongest unit comes first.

    If `cls` is None, the strength of a unit is the largest of its strengths for all classes. `most` is the largest
    number of units in the bank. If `most` is None, the bank has about `MOST` pictures. The other parameters are as in
    `overview`.
    """
    strongest, fed = weights.max(0)
    by = strongest if cls is None else weights[cls]
    tiles = []
    for unit in by.argsort(descending=True, stable=True)[: most or max(1, MOST // v.shape[1])].tolist():
        name = f"{shortened(names[int(fed[unit])], 8)} " if cls is None else ""
        tiles.append(Tile(picture(v[unit]), f"{name}{by[unit].item():+#.2g}".replace("-", "−")))
    if two_layers and cls is not None:
        total = picture(recombined(v, weights[cls : cls + 1]))
        missing = tiles[0].pixels.shape[1] - total.shape[1]
        total = F.pad(total, (0, 0, missing // 2, missing - missing // 2), value=1.0)
        tiles.insert(0, Tile(total, "sum by W₂"))
    whom = "a class" if cls is None else shortened(names[cls], 30)
    title = f"The units that feed {whom} most{_by(two_layers)}, strongest first{_side(v)}"
    return Bank(in_rows(tiles, -(-8 // v.shape[1])), title=title)


def in_rows(tiles: Sequence[Tile], columns: int) -> list[Sequence[Tile]]:
    """Split tiles into rows of at most `columns` tiles."""
    return [tiles[start : start + columns] for start in range(0, len(tiles), columns)]


def _by(two_layers: bool) -> str:
    return " by W₂" if two_layers else " by the mean slope of its score"


def _side(v: Tensor) -> str:
    return f"; a unit's {v.shape[1]} pieces side by side" if v.shape[1] > 1 else ""
