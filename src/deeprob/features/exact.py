"""Subtract the mean before rounding to float32, which cannot represent large numbers such as 1,700,000,003."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

_WIDE = (torch.float64, torch.int64, torch.int32)


class Exact(nn.Module):
    """A module that keeps the buffers named in `exact` as float64 when the other buffers change their dtype."""

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
    """Subtract a float64 mean from values (…) of any dtype; return a new tensor with the full precision of `dtype`.

    Example: 100,000.02 minus a mean of 100,000 is 0.02. This is also true if `dtype` is float32, in which neighbouring
    numbers near 100,000 differ by 0.008.
    """
    if narrows(dtype, values):
        return (values - mean).to(dtype)
    near = mean.to(dtype)
    return (values.to(dtype) - near).sub_((mean - near).to(dtype))
