"""A memory limit for building a model before its config has been compared with its checkpoint."""

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class NoLargerThan(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raise a `ValueError` when torch makes a tensor with more numbers than `tensors` have bytes.

    The tensors of a checkpoint cannot fill such a tensor, so the checkpoint does not belong to the model.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    def __torch_dispatch__(self, function: Any, types: Any, words: Any = (), named: Any = None) -> Any:
        """Call a function of torch, after a check of the size of its result."""
        size = words[0] if words and isinstance(words[0], list | tuple) else ()
        if all(isinstance(count, int) for count in size) and math.prod(size) > self.limit:
            raise ValueError(f"a tensor of size {size}")
        return function(*words, **(named or {}))
