"""Inputs that are made ready for the model once, where they fit, and not at each evaluation."""

import torch

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.features.exact import narrows
from deeprob.features.raw import Raw

LIMIT = 2**30  # bytes of memory that may be spent on it


@torch.no_grad()
def made_ready(features: Features, examples: Examples, whole: bool, limit: int = LIMIT) -> tuple[Features, Examples]:
    """Return features that leave numbers as they are, and examples that hold what `features` makes of the given ones.

    Pictures of bytes become floats and are standardised at each evaluation otherwise, which for a linear model takes
    longer than its products, and tables of float64 are standardised as such. What would take more than `limit` bytes is
    returned as it is; results are the same bit for bit.

    Parameters
    ----------
    features, examples
        What prepares a batch (B, …), and the extracted training split (N, …).
    whole
        Whether all of it is one batch. Otherwise only inputs of more digits than the model takes are made ready.
    """
    dtype = features.like.dtype
    exact = narrows(dtype, examples.inputs)
    if not (whole or exact) or examples.inputs.numel() * dtype.itemsize > limit:
        return features, examples
    inputs = features(examples.inputs)
    unchanged = Raw(tuple(inputs.shape[1:]), "none").to(inputs.device, dtype)
    return unchanged, Examples(inputs, examples.targets)
