"""Metrics: sums of measurements during training, and the evaluation of a split."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from deeprob.data import Examples
from deeprob.objective import Loss, Regularizer, weights
from deeprob.training.scoring import Scoring

Metrics = dict[str, float]
SUMS = ("train/loss", "train/data_loss", "train/regularization", "train/accuracy", "optim/grad_norm")


class Meters:
    """Sums of measurements over the updates since the last call of `read`, and over the epoch.

    The sums are a tensor (6,) of float64 on the device. Each update adds to this tensor (see `Update.measure`). The
    first five entries belong to the names in `SUMS`. The last entry is always 0; only earlier versions used it.

    Parameters
    ----------
    device
        The model's device.
    accuracy
        Whether to return the accuracy. It exists only if the targets are classes.
    """

    def __init__(self, device: torch.device, accuracy: bool = True) -> None:
        self.accuracy = accuracy
        self._sums = torch.zeros(len(SUMS) + 1, dtype=torch.float64, device=device)
        self.reset()

    def reset(self) -> None:
        """Set all sums and counts to 0."""
        self._sums.zero_()
        self._examples = self._updates = 0
        self._epoch = [0.0] * len(SUMS)
        self._epoch_examples = self._epoch_updates = 0

    def count(self, examples: int, updates: int) -> None:
        """Increase the numbers of examples and updates. The sums are increased by `Update.measure`."""
        self._examples += examples
        self._updates += updates

    def share(self, sums: Tensor) -> None:
        """Copy the sums into the tensor `sums` (6,) of float64, and use this tensor from now on.

        Other code may then add to the same tensor.
        """
        sums.copy_(self._sums)
        self._sums = sums

    def read(self) -> tuple[dict[str, float], int]:
        """Return the means over the updates since the last call, and the number of examples in these updates."""
        sums = self._sums.tolist()[: len(SUMS)]
        sums[0] = sums[1] + sums[2]  # L(W) is the sum of its terms
        means = self._means(sums, self._examples, self._updates)
        examples = self._examples
        self._epoch = [total + part for total, part in zip(self._epoch, sums, strict=True)]
        self._epoch_examples += self._examples
        self._epoch_updates += self._updates
        self._sums.zero_()
        self._examples = self._updates = 0
        return means, examples

    def read_epoch(self) -> dict[str, float]:
        """Return the means over the epoch, and begin a new epoch. Call `read` first."""
        means = self._means(self._epoch, self._epoch_examples, self._epoch_updates)
        self._epoch = [0.0] * len(SUMS)
        self._epoch_examples = self._epoch_updates = 0
        return means

    def state_dict(self) -> dict[str, object]:
        """Return the sums and counts, so that a run can be resumed between two readings."""
        return {
            "sums": self._sums.clone(),
            "counts": [self._examples, self._updates, self._epoch_examples, self._epoch_updates],
            "epoch": list(self._epoch),
        }

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Load the sums and counts that `state_dict` returned."""
        sums, counts, epoch = state["sums"], state["counts"], state["epoch"]
        assert isinstance(sums, Tensor)
        assert isinstance(counts, list)
        assert isinstance(epoch, list)
        self._sums.copy_(sums)
        self._examples, self._updates, self._epoch_examples, self._epoch_updates = counts
        self._epoch = list(epoch)

    def _means(self, sums: list[float], examples: int, updates: int) -> dict[str, float]:
        counts = [examples, examples, examples, examples, updates]
        means = {name: total / count for name, total, count in zip(SUMS, sums, counts, strict=True)}
        if not self.accuracy:
            del means["train/accuracy"]
        return means


def correct_count(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the number of correct examples (0-d), given scores (B, C) and target classes (B,).

    An example is correct if its target class has the highest score. For regression, targets are (B, C), and the result
    is 0.
    """
    if targets.is_floating_point():
        return targets.new_zeros(())
    return (scores.argmax(dim=1) == targets).sum()


@torch.no_grad()
def evaluate(
    scores: Callable[[Tensor], Tensor],
    examples: Examples,
    loss: Loss,
    chunk_size: int,
    scoring: Scoring = Scoring(),  # noqa: B008
) -> Metrics:
    """Return the metrics of a split.

    Parameters
    ----------
    scores
        The function that returns scores (B, C) of inputs (B, …), without dropout.
    examples
        The examples of the split.
    loss
        The data loss, without the regularization term R(W).
    chunk_size
        The number of examples in memory at once.
    scoring
        The function that measures the scores.

    Returns
    -------
    dict
        ``loss``, which is the mean over the split, and the measures of `scoring`. The mean is weighted if the examples
        have weights. The measures count each example once.
    """
    total = torch.zeros((), dtype=torch.float64, device=examples.targets.device)
    outputs, shares = [], examples.shares
    for start in range(0, len(examples), chunk_size):
        part = examples[start : start + chunk_size]
        outputs.append(scores(part.inputs))
        losses = loss(outputs[-1], part.targets).double()
        total += (losses if shares is None else losses * shares[start : start + chunk_size]).sum()
    (measures,) = scoring(torch.cat(outputs)[None], examples.targets)
    return {"loss": total.item() / len(examples), **measures}


@torch.no_grad()
def regularized(measured: Mapping[str, float], regularizer: Regularizer, parameters: Mapping[str, Tensor]) -> Metrics:
    """Return the metrics of the training split with L(W) as ``loss``.

    `measured` is the result of `evaluate`, where ``loss`` is the data loss. The returned metrics also contain the two
    terms of L(W), as ``data_loss`` and ``regularization``.
    """
    penalty = regularizer(weights(parameters).values())
    regularization = 0.0 if penalty is None else penalty.item()
    data_loss = measured["loss"]
    return {**measured, "loss": data_loss + regularization, "data_loss": data_loss, "regularization": regularization}
