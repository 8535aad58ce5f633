"""Means that are taken off before digits are rounded away: 1,700,000,003 is a number of its own in float64 alone."""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

_WIDE = (torch.float64, torch.int64, torch.int32)


class Exact(nn.Module):
    """A module with buffers, named in `exact`, that stay float64 when the others take another type of numbers."""

    exact: ClassVar[tuple[str, ...]] = ("mean",)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        kept = {name: getattr(self, name) for name in self.exact}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, values in kept.items():
            setattr(self, name, values.to(getattr(self, name).device))
        return self


def narrows(dtype: torch.dtype, values: Tensor) -> bool:
    """Tell whether values may have digits that a type of numbers has not."""
    return dtype != torch.float64 and values.dtype in _WIDE


def centred(values: Tensor, mean: Tensor, dtype: torch.dtype) -> Tensor:
    """Return values (…) of any type less a float64 mean, as new numbers of a type, with all the digits that it has.

    Small: of 100,000.02 and a mean of 100,000 it is 0.02, also in float32, whose neighbours of 100,000 are 0.008 apart.
    """
    if narrows(dtype, values):
        return (values - mean).to(dtype)
    near = mean.to(dtype)
    return (values.to(dtype) - near).sub_((mean - near).to(dtype))
