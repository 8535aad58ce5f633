"""If the training split fits in memory, prepare it for the model once instead of at each evaluation."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.features.exact import narrows
from deeprob.training.training_data import TrainingData

LIMIT, SMALL = 2**30, 2**26
"""The largest sizes of prepared inputs in bytes; `made_ready` explains which one counts."""


@torch.no_grad()
def made_ready(
    features: Features, examples: Examples, whole: bool, limit: int = LIMIT, small: int = SMALL
) -> tuple[Features | None, Examples]:
    """Prepare the examples once if they are small enough. Then return None and the prepared examples.

    If the examples are too large, return `features` and `examples` unchanged.

    Without this preparation, each evaluation would convert pictures from bytes to floats and standardise them. For a
    linear model, this takes longer than the matrix products. Tables of float64 would be standardised in float64 at each
    evaluation. The results of training are the same bit for bit, with and without this preparation.

    Parameters
    ----------
    features, examples
        The module that prepares a batch (B, …), and the extracted training split (N, …).
    whole
        Whether the whole split is one batch.
    limit
        The largest size in bytes of the prepared inputs. It counts if the whole split is one batch, or if the inputs
        have a higher precision than the model.
    small
        The largest size in bytes of the prepared inputs in all other cases.
    """
    dtype = features.like.dtype
    size = examples.inputs.numel() * dtype.itemsize
    if size > (limit if whole or narrows(dtype, examples.inputs) else small):
        return features, examples
    return None, replace(examples, inputs=features(examples.inputs))


@torch.no_grad()
def ready_together(data: Sequence[TrainingData], whole: bool) -> tuple[Features | None, Examples]:
    """Return the features and the examples of one training split, or of several splits joined into one.

    A single split is prepared if it is small enough (see `made_ready`). Several splits are prepared in any case,
    because each one has its own features. So they must be small enough (see `may_join`).
    """
    if len(data) == 1:
        return made_ready(data[0].features, data[0].train, whole)
    parts = [replace(of_one.train, inputs=of_one.features(of_one.train.inputs)) for of_one in data]
    weights = [part.weights for part in parts if part.weights is not None]
    return None, Examples(
        torch.cat([part.inputs for part in parts]),
        torch.cat([part.targets for part in parts]),
        torch.cat(weights) if weights else None,
    )


def may_join(data: Sequence[TrainingData], runs: int, whole: bool) -> bool:
    """Return whether the training splits of `runs` runs, all of the same shapes, are small enough to be joined.

    If the whole split is one batch, each run also gets a copy of its split.
    """
    dtype, inputs = data[0].features.like.dtype, data[0].train.inputs
    size = len(data) * inputs.numel() * dtype.itemsize
    if whole:
        return max(size, runs * inputs.numel() * dtype.itemsize) <= LIMIT
    return size <= (LIMIT if narrows(dtype, inputs) else SMALL)
