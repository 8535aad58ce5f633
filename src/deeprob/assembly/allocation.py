"""A memory limit for building a model before its config has been compared with its checkpoint."""

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class NoLargerThan(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raise a `ValueError` when torch makes a tensor that is too large.

    A tensor is too large if it has more numbers than `tensors`, the tensors of a checkpoint, have bytes. The checkpoint
    cannot fill such a tensor, so it does not belong to the model.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    def __torch_dispatch__(self, function: Any, types: Any, words: Any = (), named: Any = None) -> Any:
        """Check how large the result of a function of torch will be, then call the function."""
        size = words[0] if words and isinstance(words[0], list | tuple) else ()
        if all(isinstance(count, int) for count in size) and math.prod(size) > self.limit:
            raise ValueError(f"a tensor of size {size}")
        return function(*words, **(named or {}))
