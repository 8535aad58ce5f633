"""Labels of logarithmic axes: powers of ten in plain letters.

Matplotlib writes such labels as formulas, but formulas are switched off in the style of these figures.
"""

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogFormatterMathtext

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class PowerFormatter(LogFormatter):
    """A formatter that writes numbers as 10³ and 2×10⁻³. Matplotlib's own formatters write $10^{3}$ or 2e-03."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a number. To save room, the label can be empty if the number is not a power of ten."""
        label = super().__call__(x, pos)
        if x == 0 or not label:
            return label
        factor, exponent = f"{abs(x):.5e}".split("e")
        power = f"10{str(int(exponent)).translate(RAISED)}"
        return ("−" if x < 0 else "") + (power if float(factor) == 1 else f"{float(factor):g}×{power}")


def write_powers(figure: Figure) -> None:
    """Use `PowerFormatter` on all logarithmic axes of a figure."""
    for axes in (part for whole in figure.axes for part in (whole, *whole.child_axes)):
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(PowerFormatter())
            if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                axis.set_minor_formatter(PowerFormatter())
