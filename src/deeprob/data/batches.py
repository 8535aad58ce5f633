"""Choose the examples of each batch; the choice depends only on the seed, the epoch and the batch's number."""

from torch import Tensor

from deeprob import randomness


class Batches:
    """The batches of a run. Each batch is given as the positions of its examples in the training split.

    Each epoch shuffles all examples, and divides them into batches. But if `batch_size` is at least `count`, each batch
    has all examples in their original order.

    Parameters
    ----------
    count
        The number of examples in the training split.
    batch_size
        The number of examples per batch. The last batch of an epoch holds the remaining examples.
    order
        The key of the random numbers that shuffle each epoch. It is on the device of the data.
    """

    def __init__(self, count: int, batch_size: int, order: Tensor) -> None:
        self.count = count
        self.batch_size = min(batch_size, count)
        self.per_epoch = -(-count // self.batch_size)
        self._key = order
        self._epoch = -1
        self._order: Tensor

    def __getitem__(self, step: int) -> Tensor | slice:
        """Return the positions of the examples for update `step`; the first update of the run has number 0."""
        if self.per_epoch == 1:
            return slice(0, self.count)
        epoch, batch = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = (
                epoch,
                randomness.permutation(randomness.fold(self._key, epoch), self.count),
            )
        return self._order[batch * self.batch_size : (batch + 1) * self.batch_size]
