"""Prepare the model's inputs once instead of at each evaluation, if they fit in memory."""

import torch

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.features.exact import narrows

LIMIT, SMALL = 2**30, 2**26
"""The largest size of prepared inputs, in bytes: where preparing saves much, and where it saves little."""


@torch.no_grad()
def made_ready(
    features: Features, examples: Examples, whole: bool, limit: int = LIMIT, small: int = SMALL
) -> tuple[Features | None, Examples]:
    """Prepare the examples once, if they fit in memory; return None in the place of `features`, and the examples.

    Without this preparation, each evaluation would convert pictures from bytes to floats and standardise them. For a
    linear model, this takes longer than the matrix products. Tables of float64 would be standardised in float64 at each
    evaluation. The preparation does not change the results of training: they are the same bit for bit.

    Parameters
    ----------
    features, examples
        The module that prepares a batch (B, …), and the extracted training split (N, …).
    whole
        Whether the whole split is one batch.
    limit
        The largest size of the prepared inputs, in bytes, if the whole split is one batch or the inputs have a higher
        precision than the model. Larger inputs are not prepared: the arguments are returned.
    small
        The largest size of the prepared inputs in all other cases.
    """
    dtype = features.like.dtype
    size = examples.inputs.numel() * dtype.itemsize
    if size > (limit if whole or narrows(dtype, examples.inputs) else small):
        return features, examples
    return None, Examples(features(examples.inputs), examples.targets)
