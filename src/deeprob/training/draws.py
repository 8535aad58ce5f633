"""The inputs of each update of a run: a batch, which may be augmented, and a key for random numbers.

A key is a tensor that decides all random numbers of the update (see `deeprob.randomness`).
"""

from collections.abc import Callable

from torch import Tensor

from deeprob import randomness
from deeprob.data import Batches, Examples

Augment = Callable[[Tensor, Tensor], Tensor]


class Draws:
    """The batches and random keys of a run. They depend only on the seed and on the number of the update.

    Parameters
    ----------
    examples
        The training split, on the model's device.
    batch_size
        The number of examples per batch.
    seed
        The seed of the run. It decides the order of the examples, the dropout masks and the augmentation.
    noisy
        Whether the model uses random numbers (dropout).
    augment
        The function that augments a batch of inputs. Its second argument is a key for random numbers. None means no
        augmentation.
    """

    def __init__(
        self, examples: Examples, batch_size: int, seed: int, *, noisy: bool, augment: Augment | None = None
    ) -> None:
        device = examples.targets.device
        self.examples = examples
        self.batches = Batches(len(examples), batch_size, randomness.key(seed, "batches", device))
        self._dropout = randomness.key(seed, "dropout", device) if noisy else None
        self._augmentation = randomness.key(seed, "augmentation", device)
        self._augment = augment

    def __getitem__(self, step: int) -> tuple[Examples, Tensor | None]:
        """Return the batch of update `step` (counted from 0), and the key of its dropout masks.

        The key is None if the model uses no random numbers.
        """
        drawn = self.examples[self.batches[step]]
        if self._augment is not None:
            inputs = self._augment(drawn.inputs, randomness.fold(self._augmentation, step))
            drawn = Examples(inputs, drawn.targets)
        return drawn, None if self._dropout is None else randomness.fold(self._dropout, step)
