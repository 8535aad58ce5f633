"""``deeprob-optimizers``: prints which quantities each optimizer tracks, as in the lecture's table."""

from dataclasses import dataclass

from deeprob.commands.command import Command
from deeprob.config import choice, register
from deeprob.optim.tracks import FAMILY, LECTURE, state_of, table_text


@register("", "optimizers")
@dataclass(kw_only=True, slots=True)
class OptimizersConfig:
    """The config of ``deeprob-optimizers``.

    Attributes
    ----------
    show
        The optimizers that are shown. ``lecture`` shows the six optimizers of the lecture. ``all`` also shows related
        optimizers.
    """

    show: str = choice("lecture", among=("lecture", "all"))


def show_optimizers(config: OptimizersConfig) -> None:
    """Print the quantities that each optimizer tracks, and the numbers that it stores for each weight.

    The tracked quantities are measured from the optimizer's updates.
    """
    optimizers = {**LECTURE, **FAMILY} if config.show == "all" else LECTURE
    print("What each optimizer tracks, found by giving its update rule made-up gradients of one weight:\n")
    print(table_text(optimizers))
    print("\nWhat each optimizer stores, one number per weight each:\n")
    width = max(map(len, optimizers))
    for name, watched in optimizers.items():
        print(f"{name:{width}}  {', '.join(state_of(watched)) or 'nothing'}")


COMMAND = Command.once(OptimizersConfig, show_optimizers)
