"""Updates of stacks made faster: traced once into one graph, and compiled where that repays."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from deeprob import randomness
from deeprob.errors import is_out_of_memory, one_line
from deeprob.tracking.console import note
from deeprob.training.stacked.update import StackedUpdate

SECONDS = {"cpu": 12.0, "cuda": 30.0}
"""About how long compiling takes."""
_START = {"cpu": 0.8e-3, "cuda": 3e-3}
_NUMBER = {"cpu": 0.4e-9, "cuda": 1e-11}
"""Of an update that is not compiled: seconds whatever its size, and seconds a number that it handles."""
_SAVED = 0.6
"""The share of both that compiling saves."""
_ACTIVATION, _PARAMETER = 12, 25
"""About how often an update reads or writes a number of each kind."""

Function = Callable[..., object]


class Compiler:
    """Compiles the updates of stacks, and keeps what it compiled for stacks of the same structure.

    Parameters
    ----------
    choice
        Whether to compile; None where the estimate says that it repays.
    stacks
        How many stacks of the structure there are.
    varying
        Names of numbers in which the runs of a stack may agree, but those of other stacks that are compiled once
        differ: they are tensors in all of them.
    """

    def __init__(self, choice: bool | None, stacks: int = 1, varying: Collection[str] = ()) -> None:
        self.choice = choice
        self.stacks = stacks
        self.varying = varying
        self._made: dict[tuple[Any, ...], Function | None] = {}

    def of(self, update: StackedUpdate, updates: int) -> "CompiledUpdate":
        """Return an update of one stack, of which there will be so many."""
        return CompiledUpdate(self, update, updates * self.stacks)

    def function(self, update: StackedUpdate, updates: int, arguments: Sequence[Any]) -> Function | None:
        """Return what takes the tensors in `arguments` one by one; None where an update stays as it is."""
        inputs = arguments[2]
        key = len(update.stack), inputs.shape, update.constants
        if key not in self._made:
            wanted = repays(update, inputs, updates) if self.choice is None else self.choice
            self._made[key] = compiled(update, arguments) if wanted else None
        return self._made[key]

    def give_up(self, error: Exception) -> None:
        """Go on without compiling, with a remark."""
        note(f"cannot compile the updates of a stack ({one_line(error)}); going on without")
        self.choice = False
        self._made.clear()


class CompiledUpdate:
    """An update of a stack, called like `StackedUpdate`."""

    def __init__(self, compiler: Compiler, update: StackedUpdate, updates: int) -> None:
        self.compiler, self.update, self.updates = compiler, update, updates
        self._leaves: list[Tensor] = []
        self._tried: set[torch.Size] = set()

    def __call__(
        self, tensors: dict[str, Any], lr: Tensor, inputs: Tensor, targets: Tensor, keys: Tensor | None
    ) -> None:
        """Update all runs that are not frozen; `tensors` are the same each time."""
        arguments = (tensors, lr, inputs, targets, keys)
        try:
            function = self.compiler.function(self.update, self.updates, arguments)
            if function is not None:
                self._leaves = self._leaves or static(leaves(tensors))
                function(*self._leaves, *leaves((lr, inputs, targets, keys)))
                self._tried.add(inputs.shape)
                return
        except Exception as error:  # of torch, of a compiler that is not there: the first call compiles
            if inputs.shape in self._tried or is_out_of_memory(error):
                raise
            self.compiler.give_up(error)
        self.update(*arguments)


def leaves(tree: Any) -> list[Tensor]:
    """Return the tensors in nested dicts and tuples, in their order."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def static(tensors: list[Tensor]) -> list[Tensor]:
    """Return tensors that stay where they are, and on a GPU say so, without which no CUDA graph may change them."""
    for tensor in tensors:
        if tensor.is_cuda:
            torch._dynamo.mark_static_address(tensor)
    return tensors


def repays(update: StackedUpdate, inputs: Tensor, updates: int) -> bool:
    """Estimate whether so many updates are sooner done if compiled, the time for compiling included.

    It follows from sizes alone, so that a run that goes on decides as before.
    """
    device, stack = inputs.device.type, update.stack
    batch = len(inputs) if update.together else inputs.shape[1]
    units = sum(shape[0] for shape in stack.shapes.values() if len(shape) >= 2)
    numbers = len(stack) * (_ACTIVATION * batch * units + _PARAMETER * len(stack.decays))
    return updates * _SAVED * (_START[device] + _NUMBER[device] * numbers) > SECONDS[device]


def compiled(update: StackedUpdate, arguments: Sequence[Any]) -> Function:
    """Return an update traced for the shapes of its arguments, which its first call compiles."""
    flat, spec = tree_flatten(tuple(arguments))
    places = [place for place, leaf in enumerate(flat) if isinstance(leaf, Tensor)]

    def of_tensors(*values: Tensor) -> tuple[()]:
        whole = list(flat)
        for place, value in zip(places, values, strict=True):
            whole[place] = value
        update(*tree_unflatten(whole, spec))
        return ()

    values = [flat[place] for place in places]
    with randomness.tracing():
        graph = make_fx(of_tensors, tracing_mode="fake", _allow_non_fake_inputs=True)(*values)
    options: dict[str, str | int | bool | Callable[..., Any]] = {
        "cpp.vec_isa_ok": True,  # what the processor says of itself need not be tried out, which takes seconds
        "triton.cudagraphs": values[0].is_cuda,
    }
    function: Function = torch.compile(graph, fullgraph=True, dynamic=False, options=options)
    return function
