"""The examples of each batch, a function of the seed, the epoch and the batch's number."""

from torch import Tensor

from deeprob import randomness


class Batches:
    """Mini-batches of a shuffled epoch, or the whole split in its own order as a single batch.

    Parameters
    ----------
    count
        Examples in the training split.
    batch_size
        Examples per batch; the last batch of an epoch holds the remaining examples.
    order
        The key of the random numbers that shuffle, on the data's device.
    """

    def __init__(self, count: int, batch_size: int, order: Tensor) -> None:
        self.count = count
        self.batch_size = min(batch_size, count)
        self.per_epoch = -(-count // self.batch_size)
        self._key = order
        self._epoch = -1
        self._order: Tensor

    def __getitem__(self, step: int) -> Tensor | slice:
        """Return the positions of an update's examples; `step` counts the run's updates from 0."""
        if self.per_epoch == 1:
            return slice(0, self.count)
        epoch, batch = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = (
                epoch,
                randomness.permutation(randomness.fold(self._key, epoch), self.count),
            )
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
