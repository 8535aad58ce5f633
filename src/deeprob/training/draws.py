"""The batches of all runs for each update, and keys for random numbers. Augmentation may change the batches."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from deeprob import randomness
from deeprob.data import Examples

Augment = Callable[[Tensor, Tensor], Tensor]
LIMIT = 2**26
"""The largest size in bytes of all runs' inputs that are reordered once per epoch instead of batch by batch."""


class Batch(NamedTuple):
    """The batches of R runs: inputs (R, B, …) and targets (R, B) or (R, B, K).

    `keys` (R,) select the random numbers of the models. None: the models draw no random numbers. `weights` (R, B) are
    the weights of the examples, scaled to mean 1 in each run's batch. None: each is 1.
    """

    inputs: Tensor
    targets: Tensor
    keys: Tensor | None
    weights: Tensor | None = None

    @classmethod
    def of(cls, drawn: Examples, keys: Tensor | None) -> "Batch":
        """Return the batch of examples whose tensors have the shape (R, B, …)."""
        return cls(drawn.inputs, drawn.targets, keys, drawn.shares)


class Draws:
    """The batches and random numbers of R runs, computed from the seed of each run and the number of the update.

    Parameters
    ----------
    examples
        The training split, on the model's device. Several splits of the same size may be joined into one.
    batch_size
        The number of examples per batch.
    seeds
        The seed of each run. It decides the order of the examples, the dropout masks, and the random numbers of
        augmentation.
    splits
        (R,) The number of each run's split in the joined splits. None: all runs share one split.
    noisy
        Whether the models draw random numbers.
    augment
        The function that augments the batch of one run. Its second argument is a key for random numbers. None: no
        augmentation.

    Attributes
    ----------
    per_epoch
        The number of updates per epoch.
    """

    def __init__(
        self,
        examples: Examples,
        batch_size: int,
        seeds: Sequence[int],
        *,
        splits: Tensor | None = None,
        noisy: bool = False,
        augment: Augment | None = None,
    ) -> None:
        device = examples.targets.device
        self.examples, self.runs = examples, len(seeds)
        joined = 1 if splits is None else int(splits.max()) + 1
        self.size = len(examples) // joined
        self.batch_size = min(batch_size, self.size)
        self.per_epoch = -(-self.size // self.batch_size)
        self._starts = None if splits is None else splits[:, None] * self.size
        words = torch.tensor(seeds, dtype=torch.int64, device=device)
        different = sorted(set(seeds))  # runs with the same seed have the same order of examples
        self._order_key = randomness.key(torch.tensor(different, dtype=torch.int64, device=device), "batches")
        self._places = torch.tensor([different.index(seed) for seed in seeds], device=device)
        self._dropout = randomness.key(words, "dropout") if noisy else None
        self._augmentation = randomness.key(words, "augmentation")
        self._augment = None if augment is None else vmap(augment)
        whole = self.per_epoch == 1 and splits is not None
        self._small = augment is None and (whole or self.runs * examples.inputs.nbytes // joined <= LIMIT)
        self._epoch, self._order = -1, words
        self._batches: list[Examples] = []

    def count(self, step: int) -> int:
        """Return the number of examples in the batch of update `step`."""
        return min(self.batch_size, self.size - step % self.per_epoch * self.batch_size)

    def __getitem__(self, step: int) -> Batch:
        """Return the batches and keys of update `step`, counted from 0."""
        keys = None if self._dropout is None else randomness.fold(self._dropout, step)
        if self.per_epoch == 1 and self._augment is None and self._starts is None:
            return Batch.of(self.examples.each(lambda values: values.expand(self.runs, *values.shape)), keys)
        epoch, batch = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            self._begin(epoch)
        if self._small:
            return Batch.of(self._batches[batch], keys)
        drawn = self._drawn(self._order[:, batch * self.batch_size : (batch + 1) * self.batch_size])
        if self._augment is not None:
            drawn = replace(drawn, inputs=self._augment(drawn.inputs, randomness.fold(self._augmentation, step)))
        return Batch.of(drawn, keys)

    def _begin(self, epoch: int) -> None:
        """Compute the order (R, N) of the examples in an epoch, as indices of the joined splits.

        If the splits are small, also make all batches.
        """
        self._epoch = epoch
        if self.per_epoch == 1 and self._batches:
            return  # a batch is the whole split, in the same order in each epoch
        if self.per_epoch == 1:
            self._order = torch.arange(self.size, device=self._order_key.device).expand(self.runs, -1)
        else:
            orders = randomness.permutation(randomness.fold(self._order_key, epoch), self.size)
            self._order = orders if len(orders) == self.runs == 1 else orders[self._places]
        if self._starts is not None:
            self._order = self._order + self._starts
        if self._small:
            drawn = self._drawn(self._order)
            starts = range(0, self.size, self.batch_size)
            parts = ((slice(None), slice(start, start + self.batch_size)) for start in starts)
            self._batches = [drawn.each(itemgetter(part)) for part in parts]

    def _drawn(self, order: Tensor) -> Examples:
        """Return the examples with the indices `order` (R, B) as tensors (R, B, …)."""
        flat = order.flatten()
        return self.examples.each(lambda values: values.index_select(0, flat).view(*order.shape, *values.shape[1:]))
