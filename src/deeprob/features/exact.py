"""Subtract the mean of large numbers without losing digits.

Example: float32 cannot represent 1,700,000,003, so the mean must be subtracted before a conversion to float32.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

_WIDE = (torch.float64, torch.int64, torch.int32)


class Exact(nn.Module):
    """A module whose buffers named in `exact` stay float64 when the dtype of the module is changed."""

    exact: ClassVar[tuple[str, ...]] = ("mean",)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        kept = {name: getattr(self, name) for name in self.exact}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, values in kept.items():
            setattr(self, name, values.to(getattr(self, name).device))
        return self


def narrows(dtype: torch.dtype, values: Tensor) -> bool:
    """Return whether converting `values` to `dtype` may lose digits."""
    return dtype != torch.float64 and values.dtype in _WIDE


def centred(values: Tensor, mean: Tensor, dtype: torch.dtype) -> Tensor:
    """Subtract `mean` from `values` (…) without losing digits, and return a new tensor of type `dtype`.

    Example: 100,000.02 − 100,000 = 0.02, also if `dtype` is float32. If 100,000.02 were converted to float32 before the
    subtraction, the result would be 0.023.

    Parameters
    ----------
    values
        Values of any dtype.
    mean
        The mean, as float64.
    dtype
        The dtype of the result.
    """
    if narrows(dtype, values):
        return (values - mean).to(dtype)
    near = mean.to(dtype)
    return (values.to(dtype) - near).sub_((mean - near).to(dtype))
