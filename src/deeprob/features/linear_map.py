"""Many inputs mapped row by row, in chunks, so that only the outcome is in memory as a whole."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deeprob.tracking.console import Bar

_CHUNK = 4096


def mapped(
    function: Callable[[Tensor], Tensor], doing: str, like: Tensor, inputs: Tensor, shape: Sequence[int]
) -> Tensor:
    """Return (N, *shape) of inputs (N, …).

    Parameters
    ----------
    function
        From rows (B, D), of the inputs' type of numbers, to rows of as many numbers as `shape` holds.
    doing
        What is shown while it takes its time.
    like
        Has the device to work on, and the type of numbers of the results.
    inputs
        Of any type, on any device.
    shape
        Of one result.
    """
    outcome = torch.empty((len(inputs), *shape), dtype=like.dtype, device=like.device)
    with Bar(len(inputs), doing, "inputs") as bar:
        for start in range(0, len(inputs), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            rows = inputs[chunk].flatten(1).to(like.device)
            outcome[chunk] = function(rows).view(outcome[chunk].shape)
            bar.advance(len(rows))
    return outcome
