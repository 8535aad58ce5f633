"""Units on the plane: the line on which each unit is 0, and the direction in which the unit grows."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from deeprob.analysis.plane import Limits
from deeprob.figures.style import equal_scales


def draw_units(axes: Axes, v: Tensor, c: Tensor, strengths: Tensor, colors: Sequence[str], limits: Limits) -> None:
    """Draw the line vᵀx + c = 0 of each piece of each unit, with an arrow along v.

    Arrows start on a circle around the middle, since many lines cross in the middle. The length of the longest arrow is
    an eighth of the diagonal of the panel. If there are many units, lines are thinner and fainter. Only the 16
    strongest units have arrows. If the axes have different scales, v is rescaled, so that each arrow is at a right
    angle to its line.

    Parameters
    ----------
    axes
        The axes to draw on.
    v, c
        The vectors v (U, P, 2) and the offsets c (U, P) of the pieces of the units.
    strengths
        The strength (U,) of each unit in [0, 1]. Stronger units are drawn thicker and darker.
    colors
        One color per unit.
    limits
        The part of the plane.
    """
    left, right, bottom, top = limits
    middle, extent = v.new_tensor([left + right, bottom + top]) / 2, v.new_tensor([right - left, top - bottom])
    scale = torch.ones_like(extent) if equal_scales(limits) else extent
    v, middle, extent = v * scale, middle / scale, extent / scale
    unit_length = extent.norm() / 8 / v.norm(dim=2).max()
    crowd = min(1.0, (24 / v[..., 0].numel()) ** 0.5)
    order = strengths.argsort(stable=True).tolist()
    for unit in order:  # the strongest unit is drawn last, on top of all others
        strength = crowd * strengths[unit].item()
        look = {"color": colors[unit], "alpha": 0.1 + 0.9 * strength, "linewidth": 0.5 + 1.3 * strength}
        for vector, offset in zip(v[unit], c[unit], strict=True):
            square = vector.square().sum()
            if square == 0:  # the piece is constant
                continue
            foot = middle - vector * (vector @ middle + offset) / square
            along = torch.stack([-vector[1], vector[0]]) / square.sqrt()
            ends = foot + extent.norm() * torch.stack([-along, along])
            axes.plot(*(scale * ends).T.numpy(), **look)
            start = foot + along * ((0.38 * extent.min()) ** 2 - (foot - middle).square().sum()).clamp(min=0).sqrt()
            tip, start = scale * (start + vector * unit_length), scale * start
            if unit in order[-16:] and left < start[0] < right and bottom < start[1] < top:
                arrow = {"arrowstyle": "-|>", "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8, **look}
                axes.annotate("", tuple(tip.tolist()), tuple(start.tolist()), arrowprops=arrow)
