"""A limit on what is allocated while a model is built whose config nobody has checked against its checkpoint yet."""

import math
from collections.abc import Iterable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class NoLargerThan(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuse to make a tensor with more numbers than these have bytes: they would not be what it holds."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.limit = sum(tensor.untyped_storage().nbytes() for tensor in tensors)

    def __torch_dispatch__(self, function: Any, types: Any, words: Any = (), named: Any = None) -> Any:
        """Call a function of torch."""
        size = words[0] if words and isinstance(words[0], list | tuple) else ()
        if all(isinstance(count, int) for count in size) and math.prod(size) > self.limit:
            raise ValueError(f"a tensor of size {size}")
        return function(*words, **(named or {}))
