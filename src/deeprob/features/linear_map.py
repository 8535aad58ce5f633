"""Apply a function to many inputs, chunk by chunk, to use little memory."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from deeprob.tracking.console import Bar

_CHUNK = 4096


def mapped(
    function: Callable[[Tensor], Tensor], doing: str, like: Tensor, inputs: Tensor, shape: Sequence[int]
) -> Tensor:
    """Apply `function` to inputs (N, …), and return the results (N, *shape).

    Parameters
    ----------
    function
        A function of rows (B, D) with the dtype of the inputs. It returns B results, which are reshaped to (B, *shape).
    doing
        The text before the progress bar.
    like
        A tensor with the device to work on, and the dtype of the results.
    inputs
        Inputs of any dtype, on any device.
    shape
        The shape of one result.
    """
    outcome = torch.empty((len(inputs), *shape), dtype=like.dtype, device=like.device)
    with Bar(len(inputs), doing, "inputs") as bar:
        for start in range(0, len(inputs), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            rows = inputs[chunk].flatten(1).to(like.device)
            outcome[chunk] = function(rows).view(outcome[chunk].shape)
            bar.advance(len(rows))
    return outcome
