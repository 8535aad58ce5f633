"""Prepare inputs for the model once, if they fit in memory, instead of at each evaluation."""

import torch

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.features.exact import narrows
from deeprob.features.raw import Raw

LIMIT = 2**30  # bytes: the largest size of the prepared inputs


@torch.no_grad()
def made_ready(features: Features, examples: Examples, whole: bool, limit: int = LIMIT) -> tuple[Features, Examples]:
    """Return examples already prepared by `features`, and features that change them no further.

    Otherwise each evaluation would convert pictures from bytes to floats and standardise them; for a linear model this
    takes longer than its matrix products. Tables of float64 would be standardised in float64 each time. Inputs that
    would take more than `limit` bytes are returned unprepared. The results of training are the same bit for bit.

    Parameters
    ----------
    features, examples
        The module that prepares a batch (B, …), and the extracted training split (N, …).
    whole
        Whether the whole split is one batch. If not, only inputs with more precision than the model's are prepared.
    """
    dtype = features.like.dtype
    exact = narrows(dtype, examples.inputs)
    if not (whole or exact) or examples.inputs.numel() * dtype.itemsize > limit:
        return features, examples
    inputs = features(examples.inputs)
    unchanged = Raw(tuple(inputs.shape[1:]), "none").to(inputs.device, dtype)
    return unchanged, Examples(inputs, examples.targets)
