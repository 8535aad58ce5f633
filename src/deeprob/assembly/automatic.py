"""The numbers that replace ``auto`` when the number of training examples is known.

The constants were measured on 24 tables (docs/results.md, "Defaults on tables").
"""

import math

from deeprob import config as configs
from deeprob.assembly.config import RunConfig
from deeprob.config.schema import changed
from deeprob.optim.adamw import USUAL_DECAY

EPOCHS = 30
"""The least number of epochs."""
UPDATES, LINEAR_UPDATES = 1_000, 10_000
"""The least number of updates of a network and of a linear model.

Adam changes a weight by about `lr` per update. The weights of a network have a suitable size from the start, those of a
linear model grow from near 0 to 1 and more. With a rate of 1e-3 that falls along a cosine, this takes 10,000 updates.
"""
DECAY, LINEAR_DECAY = 40.0, 1.5
"""The weight decay on a table, times the root of the number of training examples, of a network and a linear model."""

DECIDED = ("trainer.epochs", "optimizer.weight_decay")
"""The keys whose ``auto`` is replaced here."""


def batch_size_of(config: RunConfig, examples: int) -> int:
    """Return the number of examples per update of a resolved config, given the number of training examples."""
    size = config.trainer.batch_size
    return min(size, examples) if isinstance(size, int) else examples


def decided(config: RunConfig, examples: int, total: int | None = None) -> RunConfig:
    """Replace ``auto`` in the keys `DECIDED` of a resolved config, given the number of training examples.

    `total` is the sum of their weights (see `deeprob.data.Examples.total`). None: each has the weight 1.
    """
    numbers = {
        "trainer.epochs": enough_epochs(config, -(-examples // batch_size_of(config, examples))),
        "optimizer.weight_decay": decay_for(config, examples if total is None else total),
    }
    values = configs.flat(config)
    return changed(config, {key: number for key, number in numbers.items() if values.get(key) == "auto"})


def epochs_of(config: RunConfig) -> int:
    """Return the number of epochs of a config in which a number has replaced ``auto``."""
    assert isinstance(config.trainer.epochs, int)
    return config.trainer.epochs


def enough_epochs(config: RunConfig, updates: int) -> int:
    """Return the number of epochs that gives enough updates, if an epoch has this number of `updates`.

    An optimizer like L-BFGS needs no more than 30 epochs: its updates have several iterations, and it stops by itself.
    """
    if config.optimizer.deterministic:
        return EPOCHS
    return max(EPOCHS, -(-(LINEAR_UPDATES if config.model.linear else UPDATES) // updates))


def decay_for(config: RunConfig, examples: int) -> float:
    """Return the weight decay of AdamW: torch's, or more on a small table, where a network fits the noise too."""
    if not config.dataset.tabular:
        return USUAL_DECAY
    return max(USUAL_DECAY, (LINEAR_DECAY if config.model.linear else DECAY) / math.sqrt(examples))
