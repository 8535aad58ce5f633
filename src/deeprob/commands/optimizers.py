"""``deeprob-optimizers``: prints the lecture's table of what each optimizer tracks."""

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
        The optimizers that are shown. ``lecture`` shows the six of the lecture, ``all`` also some of their relatives.
    """

    show: str = choice("lecture", among=("lecture", "all"))


def show_optimizers(config: OptimizersConfig) -> None:
    """Print what optimizers track, as measured from their updates, and the tensors that they store per weight."""
    optimizers = {**LECTURE, **FAMILY} if config.show == "all" else LECTURE
    print("What each optimizer tracks, found by giving its update rule made-up gradients of one weight:\n")
    print(table_text(optimizers))
    print("\nWhat each optimizer stores, one number per weight each:\n")
    width = max(map(len, optimizers))
    for name, watched in optimizers.items():
        print(f"{name:{width}}  {', '.join(state_of(watched)) or 'nothing'}")


COMMAND = Command.once(OptimizersConfig, show_optimizers)
