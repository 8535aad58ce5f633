"""Labels of logarithmic axes: powers of ten in plain letters, since no text of a figure is a formula by itself."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, LogFormatterMathtext

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class PowerFormatter(LogFormatter):
    """Writes numbers as 10³ and 2×10⁻³, which matplotlib's own formatters write as $10^{3}$, or as 2e-03."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """Return the label of a number, empty for one between powers where there is no room for it."""
        label = super().__call__(x, pos)
        if x == 0 or not label:
            return label
        factor, exponent = f"{abs(x):.5e}".split("e")
        power = f"10{str(int(exponent)).translate(RAISED)}"
        return ("−" if x < 0 else "") + (power if float(factor) == 1 else f"{float(factor):g}×{power}")


def write_powers(figure: Figure) -> None:
    """Label all logarithmic axes of a figure so."""
    for axes in (part for whole in figure.axes for part in (whole, *whole.child_axes)):
        for axis in (axes.xaxis, axes.yaxis):
            if isinstance(axis.get_major_formatter(), LogFormatterMathtext):
                axis.set_major_formatter(PowerFormatter())
            if isinstance(axis.get_minor_formatter(), LogFormatterMathtext):
                axis.set_minor_formatter(PowerFormatter())
