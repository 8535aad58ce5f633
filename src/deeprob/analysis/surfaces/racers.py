"""Optimizers that are given as text, such as ``sgd lr=0.01 momentum=0.9``: a name and values of fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from deeprob.config.one_option import chosen
from deeprob.errors import UserError
from deeprob.optim import OptimizerConfig


@dataclass(frozen=True)
class Racer:
    """An optimizer that is compared with others on a surface.

    Attributes
    ----------
    words
        The text that describes the optimizer, such as ``sgd lr=0.01``.
    optimizer
        The config of the optimizer.
    """

    words: str
    optimizer: OptimizerConfig

    @property
    def kind(self) -> str:
        """The text `words` without the learning rate, such as ``sgd momentum=0.9``."""
        return " ".join(word for word in self.words.split() if not word.startswith("lr="))


def racers_of(entries: Sequence[str], noise: float = 0.0) -> list[Racer]:
    """Convert texts to optimizers, in the same order.

    Parameters
    ----------
    entries
        Texts such as ``sgd lr=0.01 momentum=0.9``.
    noise
        The standard deviation of the noise of the gradients. L-BFGS is valid only without noise.

    Raises
    ------
    UserError
        If a text has an unknown name, an unknown field or a wrong value, occurs twice, or describes an optimizer that
        cannot be used with noise. The error names the first such text.
    """
    racers: list[Racer] = []
    for entry in entries:
        words = " ".join(entry.split())
        if words in {racer.words for racer in racers}:
            raise UserError(f"optimizers: {words}: is there twice")
        racers.append(Racer(words, chosen("optimizer", words, "optimizers")))
        if noise and racers[-1].optimizer.deterministic:
            raise UserError(f"optimizers: {words}: needs gradients without noise; set noise=0 or leave it out")
    return racers
