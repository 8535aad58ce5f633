"""Convert a user's raw inputs to tensors. Invalid inputs raise an error whose message is one clear line."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprob.errors import UserError

Inputs = Tensor | npt.ArrayLike
"""A tensor, or anything that NumPy converts to an array of numbers: arrays, nested lists, pandas tables."""


def as_tensor(inputs: Inputs, shape: tuple[int, ...]) -> Tensor:
    """Return raw inputs (N, …) as a tensor for the features.

    Parameters
    ----------
    inputs
        Numbers of any type. Pictures must have whole numbers from 0 to 255.
    shape
        The shape of one input: (C, H, W) for pictures, (D,) for all others.

    Returns
    -------
    Tensor
        Pictures (N, C, H, W) in uint8, or finite floats (N, D). The floats are float64 if float32 would lose digits.

    Raises
    ------
    UserError
        If a shape, type or value is wrong. The message also says what would be right.
    """
    values = inputs.detach() if isinstance(inputs, Tensor) else _from_numpy(inputs)
    if values.layout != torch.strided or values.is_complex() or values.is_quantized or values.is_meta:
        raise UserError(f"inputs of {_kind(values)}: expected a dense tensor of real numbers")
    if values.shape[1:] != shape or values.dim() != len(shape) + 1:
        right = _right_shape(tuple(values.shape), shape, _batch_of_one(inputs))
        raise UserError(f"inputs of shape {list(values.shape)}: {right}")
    return _levels(values) if len(shape) == 3 else _numbers(values)


def _from_numpy(inputs: Any) -> Tensor:
    """Convert a list of tensors, or anything that NumPy converts to an array, to a tensor.

    If possible, the inputs are not copied.
    """
    try:
        if isinstance(inputs, list | tuple) and inputs and all(isinstance(one, Tensor) for one in inputs):
            return torch.stack([one.detach() for one in inputs])
        array = np.asarray(inputs)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError("inputs: no array of numbers; expected rows of one length") from error
    if array.dtype.kind not in "biuf":
        raise UserError(f"inputs of {array.dtype}: expected numbers")
    if np.ma.is_masked(inputs):
        raise UserError("inputs: some are masked; fill them in, or leave their rows out")
    kind = np.dtype(np.float64) if array.dtype.itemsize > 8 else array.dtype.newbyteorder("=")
    # torch needs native byte order, and warns if an array is not writable
    return torch.from_numpy(np.require(array, kind, ["C", "W"]))


def _right_shape(found: tuple[int, ...], shape: tuple[int, ...], batch: str) -> str:
    """Return the part of an error message that says which shape is right.

    `batch` is the Python expression that makes a batch of one from a single input.
    """
    expected = f"expected [N, {', '.join(map(str, shape))}]"
    if found == shape:
        return f"{expected}; this is a single input, and {batch} a batch of one"
    if len(shape) == 3 and found[-3:] == (*shape[1:], shape[0]):
        return f"{expected}; channels come before rows and columns"
    return expected


def _batch_of_one(inputs: Any) -> str:
    """Return the Python expression that makes a batch of one from a single input. A list has no ``inputs[None]``."""
    if isinstance(inputs, Tensor | np.ndarray):
        return "inputs[None]"
    whole = repr([inputs])
    return whole if len(whole) <= 40 and "\n" not in whole else "[inputs]"


def _levels(pictures: Tensor) -> Tensor:
    """Convert pictures (N, C, H, W) of any integer type to uint8. All values must be from 0 to 255."""
    if pictures.dtype == torch.uint8:
        return pictures
    if pictures.is_floating_point() or pictures.dtype == torch.bool:
        advice = "; if from 0 to 1, give (255 * inputs).round().to(torch.uint8)" if pictures.is_floating_point() else ""
        raise UserError(f"inputs of {_kind(pictures)}: expected pictures of uint8, from 0 to 255{advice}")
    whole = pictures.long()
    if len(whole):
        low, high = (int(bound) for bound in whole.aminmax())
        if not 0 <= low <= high <= 255:
            raise UserError(f"inputs from {low} to {high}: expected pictures of levels from 0 to 255")
    return whole.to(torch.uint8)


def _numbers(rows: Tensor) -> Tensor:
    """Convert rows (N, D) of any numeric type to float32, or to float64 if the type has more digits."""
    if rows.dtype != torch.float32:
        rows = rows.float() if rows.is_floating_point() and rows.dtype.itemsize < 4 else rows.double()
    wrong = (~rows.float().isfinite()).nonzero()
    if len(wrong):
        place = wrong[0].tolist()
        value = rows[tuple(place)].item()
        raise UserError(
            f"inputs{place} is {value}: expected finite numbers (up to 3e38); correct it, or leave the row out"
        )
    return rows


def _kind(values: Tensor) -> str:
    """Return the name of a tensor's dtype, such as ``float32``; for a sparse tensor, its layout: ``sparse_coo``."""
    return str(values.dtype if values.layout == torch.strided else values.layout).removeprefix("torch.")
