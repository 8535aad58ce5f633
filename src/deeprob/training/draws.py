"""What each update of a run sees: a batch, changed at random if it is augmented, and a key for what else is drawn."""

from collections.abc import Callable

from torch import Tensor

from deeprob import randomness
from deeprob.data import Batches, Examples

Augment = Callable[[Tensor, Tensor], Tensor]


class Draws:
    """The batches and random numbers of a run: functions of its seed and of the update.

    Parameters
    ----------
    examples
        The training split, on the model's device.
    batch_size
        Examples a batch.
    seed
        Names the order of batches, the dropout masks and what augmentation draws.
    noisy
        Whether the model draws random numbers.
    augment
        Changes a batch of inputs, given a key for its random numbers.
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
        """Return the examples of an update (counted from 0), and the key of its random numbers."""
        drawn = self.examples[self.batches[step]]
        if self._augment is not None:
            inputs = self._augment(drawn.inputs, randomness.fold(self._augmentation, step))
            drawn = Examples(inputs, drawn.targets)
        return drawn, None if self._dropout is None else randomness.fold(self._dropout, step)
