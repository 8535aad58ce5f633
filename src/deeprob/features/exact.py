"""Subtract means before numbers are rounded: float64 can represent 1,700,000,003, but float32 cannot."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

_WIDE = (torch.float64, torch.int64, torch.int32)


class Exact(nn.Module):
    """A module whose buffers named in `exact` stay float64 when the other buffers change their dtype."""

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
    """Return values (…) of any type minus a float64 mean, as a new tensor of type `dtype`, in its full precision.

    Example: 100,000.02 minus a mean of 100,000 is 0.02, also in float32, where numbers near 100,000 are 0.008 apart.
    """
    if narrows(dtype, values):
        return (values - mean).to(dtype)
    near = mean.to(dtype)
    return (values.to(dtype) - near).sub_((mean - near).to(dtype))
