"""Prepare the model's inputs once instead of at each evaluation, if they fit in memory."""

import torch

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.features.exact import narrows
from deeprob.features.raw import Raw

LIMIT = 2**30  # the largest size of the prepared inputs, in bytes


@torch.no_grad()
def made_ready(features: Features, examples: Examples, whole: bool, limit: int = LIMIT) -> tuple[Features, Examples]:
    """Prepare the training split once for all evaluations.

    Return a module that leaves its inputs unchanged, and the prepared examples. If the prepared inputs would take more
    than `limit` bytes, return the arguments unchanged. The results of training are the same in both cases, bit for bit.

    Without this function, each evaluation would prepare its batch again: it would convert pictures from bytes to floats
    and standardise them, or standardise tables in float64. For a linear model, this takes longer than the matrix
    products.

    Parameters
    ----------
    features, examples
        The module that prepares a batch (B, …), and the extracted training split (N, …).
    whole
        Whether every batch is the whole split. If it is not, inputs are prepared only if their precision is higher than
        the precision of the model.
    """
    dtype = features.like.dtype
    exact = narrows(dtype, examples.inputs)
    if not (whole or exact) or examples.inputs.numel() * dtype.itemsize > limit:
        return features, examples
    inputs = features(examples.inputs)
    unchanged = Raw(tuple(inputs.shape[1:]), "none").to(inputs.device, dtype)
    return unchanged, Examples(inputs, examples.targets)
