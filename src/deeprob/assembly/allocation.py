"""A memory limit for building a model from files. Without it, damaged files could ask for a model of any size."""

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from deeprob.optim.base import call_directly


class NoLargerThan(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Raise a `ValueError` when torch makes a tensor that is too large.

    `tensors` are the tensors of a checkpoint. A new tensor may have at most as many elements as `tensors` have bytes in
    total. A larger tensor cannot be filled from the checkpoint. So the checkpoint does not belong to the model.
    """

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    def __torch_dispatch__(self, function: Any, types: Any, words: Any = (), named: Any = None) -> Any:
        """Check how many elements the result of a torch function will have, then call the function."""
        size = words[0] if words and isinstance(words[0], list | tuple) else ()
        if all(isinstance(count, int) for count in size) and math.prod(size) > self.limit:
            raise ValueError(f"a tensor of size {size}")
        return function(*words, **(named or {}))


call_directly(NoLargerThan.__torch_dispatch__)
