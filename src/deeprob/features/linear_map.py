"""Map many inputs row by row, in chunks, so that only the results are in memory as a whole."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deeprob.tracking.console import Bar

_CHUNK = 4096


def mapped(
    function: Callable[[Tensor], Tensor], doing: str, like: Tensor, inputs: Tensor, shape: Sequence[int]
) -> Tensor:
    """Return the results (N, *shape) of `function` for inputs (N, …).

    Parameters
    ----------
    function
        Takes rows (B, D) of the inputs' dtype, and returns rows with as many numbers as `shape` holds.
    doing
        The text before the progress bar.
    like
        A tensor with the device to work on, and the dtype of the results.
    inputs
        Of any type, on any device.
    shape
        Shape of one result.
    """
    outcome = torch.empty((len(inputs), *shape), dtype=like.dtype, device=like.device)
    with Bar(len(inputs), doing, "inputs") as bar:
        for start in range(0, len(inputs), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            rows = inputs[chunk].flatten(1).to(like.device)
            outcome[chunk] = function(rows).view(outcome[chunk].shape)
            bar.advance(len(rows))
    return outcome
