"""Optimizers in words, such as ``sgd lr=0.01 momentum=0.9``: an optimizer's name and its fields."""

from collections.abc import Sequence
from dataclasses import dataclass

from deeprob.config.one_option import chosen
from deeprob.errors import UserError
from deeprob.optim import OptimizerConfig


@dataclass(frozen=True)
class Racer:
    """An optimizer in a race.

    Attributes
    ----------
    words
        The name of the optimizer and its fields, such as ``sgd lr=0.01``.
    optimizer
        The config of the optimizer.
    """

    words: str
    optimizer: OptimizerConfig

    @property
    def kind(self) -> str:
        """The words without the learning rate."""
        return " ".join(word for word in self.words.split() if not word.startswith("lr="))


def racers_of(entries: Sequence[str], noise: float = 0.0) -> list[Racer]:
    """Return the racers that `entries` describe, in the same order.

    Parameters
    ----------
    entries
        Optimizers in words, such as ``sgd lr=0.01 momentum=0.9``.
    noise
        The noise of the gradients. L-BFGS needs gradients without noise.

    Raises
    ------
    UserError
        If an entry is invalid: an unknown name or field, a wrong value, an entry given twice, or an optimizer that
        needs gradients without noise. The error names the first invalid entry.
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
