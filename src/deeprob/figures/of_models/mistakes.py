"""The worst mistakes: the examples that a model gets wrong with high confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Rectangle
from torch import Tensor

from deeprob.analysis.plane import limits_of
from deeprob.assembly.finished import SPLITS, Run
from deeprob.config import choice, number, register
from deeprob.data import Examples
from deeprob.figures import caps
from deeprob.figures.base import FigureConfig, plane_names
from deeprob.figures.caps import rows_within, some_of
from deeprob.figures.of_models.confusion import needs_classes
from deeprob.figures.of_models.decision_boundary import class_legend, draw_regions, scatter
from deeprob.figures.style import FAINT, INK, PALE, palette_color, plane_axes, shortened

TOP = 3
"""The largest number of classes on a card. They are the most probable classes."""

ROW, LINE, GAP, HEAD = 8.16, 0.155, 0.16, 0.4
"""In inches: the width of a row of cards, the height of a line, the gap after a card, and the height of the title."""


@register("figure", "mistakes")
@dataclass(kw_only=True, slots=True)
class MistakesConfig(FigureConfig):
    """The worst mistakes: the predicted class has a much larger probability than the right class.

    Mistakes are sorted by the difference of these two probabilities. If inputs are points of the plane, a ring marks
    each mistake. If inputs are pictures, each mistake has a card with the picture and the probabilities. All other
    inputs have cards with the number of the example and the probabilities.

    Attributes
    ----------
    split
        The split whose examples are used.
    count
        The largest number of mistakes that are shown.
    """

    split: str = choice("test", among=SPLITS)
    count: int = number(24, minimum=1, maximum=600)

    def unsuited(self, run: Run) -> str:
        """Return the reason why this figure cannot show `run`, or an empty text if it can."""
        return needs_classes(run)

    def size(self, run: Run) -> tuple[float, float]:
        """Return the width and the height in inches, with room for the largest possible number of mistakes."""
        if is_plane(run):
            return 4.8, 4.7
        picture = is_pictures(run)
        return ROW, HEAD + -(-self._most(run) // columns_of(picture)) * card_height(picture)

    def panel(self, canvas: FigureBase, run: Run) -> None:
        """Draw the panel of a run."""
        examples = run.examples(self.split)
        scores = run.scores(self.split).cpu()
        wrong = mistakes(scores, examples.targets.cpu())
        shown = wrong[: self._most(run)]
        axes = canvas.subplots()
        axes.set_title(f"{len(wrong) or 'none'} of {len(examples)} wrong ({self.split})")
        if is_plane(run):
            remark = f"ringed: the {len(shown)} most wrong" if len(shown) < len(wrong) else "ringed"
            plane(axes, run, examples, shown)
        else:
            top = min(TOP, len(run.classes))
            remark = f"above: the true class; below: the {top} most probable to the model, with probabilities"
            some = examples[shown.to(examples.targets.device)]
            cards(axes, some, scores[shown].double().softmax(1), run.classes, shown.tolist(), is_pictures(run))
        if len(wrong):
            axes.set_title(remark, loc="right", fontsize=8, fontweight="normal", color=FAINT)

    def cut(self, run: Run) -> str:
        """Return a text with the number of mistakes that fit. If `count` mistakes fit, the text is empty."""
        return some_of(self._most(run), self.count, "mistakes", "at most")

    def _most(self, run: Run) -> int:
        """Return the largest number of mistakes that can be shown: `count`, or fewer if fewer cards fit."""
        picture = is_pictures(run)
        room = columns_of(picture) * rows_within(card_height(picture), 2 * HEAD)
        return self.count if is_plane(run) else min(self.count, room)

    def draw(self, run: Run | None) -> Figure:
        """Return the figure of one run. Its height depends on the number of mistakes."""
        figure = FigureConfig.draw(self, run)
        if run is not None and not is_plane(run):
            below = figure.get_figheight() - self.size(run)[1]
            figure.set_figheight(HEAD + figure.axes[0].get_ylim()[0] + below)
        return figure

    def columns(self, runs: Mapping[str, Run]) -> int:
        """Return the number of panels per row: 4 if panels show the plane, 1 if panels show cards."""
        return 4 if is_plane(next(iter(runs.values()))) else 1


def is_plane(run: Run) -> bool:
    """Return whether the inputs of a run are points of the plane."""
    return run.predictor.input_shape == (2,)


def is_pictures(run: Run) -> bool:
    """Return whether the inputs of a run are pictures."""
    return len(run.predictor.input_shape) == 3


def mistakes(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the examples that a model gets wrong. The worst mistake comes first.

    Parameters
    ----------
    scores
        Scores (N, C). Their softmax gives the probabilities, even if the model was trained with another loss.
    targets
        True classes (N,).

    Returns
    -------
    Tensor
        The indices (M,) of the M mistakes, as int64. They are sorted by the probability of the predicted class minus
        the probability of the right class. The largest difference comes first.
    """
    places = (scores.argmax(1) != targets).nonzero().squeeze(1)
    leads = [lead(scores[some], targets[some]) for some in torch.split(places, max(1, caps.NUMBERS // scores.shape[1]))]
    return places[torch.cat(leads).argsort(descending=True, stable=True)]


def lead(scores: Tensor, targets: Tensor) -> Tensor:
    """Return (largest probability) − (probability of the right class) for each example (n,)."""
    probabilities = scores.double().softmax(1)
    return probabilities.amax(1) - probabilities.gather(1, targets[:, None]).squeeze(1)


def plane(axes: Axes, run: Run, examples: Examples, shown: Tensor) -> None:
    """Draw the regions of the model and the examples, and mark the examples `shown` by rings.

    An example has the color of its true class. `shown` holds indices of examples.
    """
    limits = limits_of(examples.inputs.cpu())
    draw_regions(axes, run, limits, resolution=300)
    scatter(axes, examples)
    for place in shown.tolist():
        point, target = examples.inputs[place].tolist(), int(examples.targets[place])
        axes.plot(*point, "o", color=palette_color(target), ms=6.5, mec=INK, mew=1.3)
    plane_axes(axes, limits, plane_names(run))
    class_legend(axes, run.classes)


def columns_of(picture: bool) -> int:
    """Return the number of cards per row. Cards without a picture are wider, so that longer names fit."""
    return 6 if picture else 4


def card_height(picture: bool) -> float:
    """Return the height in inches of a card and the gap below the card.

    A card has one line of text, then a picture or another line, and then `TOP` bars.
    """
    return LINE * (TOP + 1) + (ROW / columns_of(picture) - GAP if picture else LINE) + 0.06 + GAP


def cards(
    axes: Axes, examples: Examples, probabilities: Tensor, classes: Sequence[str], numbers: Sequence[int], picture: bool
) -> None:
    """Draw one card per example in rows, on axes whose unit is one inch.

    Parameters
    ----------
    axes
        The axes to draw on.
    examples, numbers
        The M examples, and the number of each example in the split.
    probabilities
        The probabilities (M, C) of the classes.
    classes
        The classes' names.
    picture
        Whether inputs are pictures (M, 3, H, W). If not, a card shows the number of its example.
    """
    columns, height = columns_of(picture), card_height(picture)
    width, rows = ROW / columns - GAP, -(-len(examples) // columns)
    axes.set_axis_off()
    axes.set_anchor("NW")
    for place, values in enumerate(probabilities):
        left, top = place % columns * ROW / columns, place // columns * height
        target = int(examples.targets[place])
        if not picture:
            axes.text(left, top + LINE / 2, f"no. {numbers[place]}", color=FAINT, fontsize=7, va="center_baseline")
            top += LINE
        line(axes, (left, left + width), top, classes[target], values[target].item(), weight="bold")
        top += LINE
        if picture:
            show(axes, examples.inputs[place].cpu(), left, top, width)
            top += width
        for rank, guess in enumerate(values.topk(min(TOP, len(values))).indices.tolist()):
            y = top + 0.06 + rank * LINE
            share = values[guess].item()
            for part, ink in ((1.0, PALE), (share, palette_color(guess))):
                axes.add_patch(Rectangle((left, y), part * width, LINE - 0.02, color=ink, alpha=0.5, lw=0))
            weight = "bold" if guess == target else "normal"
            line(axes, (left + 0.03, left + width - 0.03), y, classes[guess], share, weight)
    if not numbers:
        axes.text(0, 0.2, "No mistakes: the model gets every example right.", va="center")
    axes.set(xlim=(0, ROW - GAP), ylim=(rows * height - GAP if numbers else 0.4, 0), aspect="equal")


def line(axes: Axes, sides: tuple[float, float], top: float, name: str, probability: float, weight: str) -> None:
    """Write a line of a card: the name of a class on the left, and its probability on the right."""
    left, right = sides
    y, name = top + LINE / 2, shortened(name, int((right - left - 0.3) / 0.068))
    axes.text(left, y, name, fontsize=7, fontweight=weight, va="center_baseline")
    axes.text(right, y, f"{probability:.2f}", fontsize=7, fontweight=weight, va="center_baseline", ha="right")


def show(axes: Axes, picture: Tensor, left: float, top: float, side: float) -> None:
    """Draw a picture (3, H, W) in a square. The longer side of the picture is as long as the square."""
    height, width = (size * side / max(picture.shape[1:]) for size in picture.shape[1:])
    left, top = left + (side - width) / 2, top + (side - height) / 2
    axes.imshow(picture.permute(1, 2, 0).numpy(), extent=(left, left + width, top + height, top))
