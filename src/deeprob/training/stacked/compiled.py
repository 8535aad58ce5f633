"""Compile the update of a stack (runs that train together), if this saves time."""

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
"""The approximate time to compile an update, in seconds."""
_START = {"cpu": 0.8e-3, "cuda": 3e-3}
_NUMBER = {"cpu": 0.4e-9, "cuda": 1e-11}
"""The time of an uncompiled update, in seconds, is `_START` plus `_NUMBER` for each number that it reads or writes."""
_SAVED = 0.6
"""The share of the time of an update that compiling saves."""
_ACTIVATION, _PARAMETER = 12, 25
"""The approximate number of times that an update reads or writes each activation, and each parameter."""

Function = Callable[..., object]


class Compiler:
    """Compile the updates of stacks, and reuse each compiled update for other stacks of the same structure.

    Parameters
    ----------
    choice
        Whether to compile. None means: compile if this probably saves time (see `repays`).
    stacks
        The number of stacks with the same structure, which can share one compiled update.
    varying
        The names of hyperparameters that differ between runs of any stacks. They become tensors in every stack, even if
        all runs of a stack have the same value. So all stacks can share one compiled update.
    """

    def __init__(self, choice: bool | None, stacks: int = 1, varying: Collection[str] = ()) -> None:
        self.choice = choice
        self.stacks = stacks
        self.varying = varying
        self._made: dict[tuple[Any, ...], Function | None] = {}

    def of(self, update: StackedUpdate, updates: int) -> "CompiledUpdate":
        """Return the update of one stack, which may be compiled. `updates` is the number of calls to expect."""
        return CompiledUpdate(self, update, updates * self.stacks)

    def function(self, update: StackedUpdate, updates: int, arguments: Sequence[Any]) -> Function | None:
        """Return the compiled update, or None if the update is not to be compiled.

        The compiled update takes all tensors in `arguments` as separate arguments (see `leaves`).
        """
        inputs = arguments[2]
        key = len(update.stack), inputs.shape, update.constants
        if key not in self._made:
            wanted = repays(update, inputs, updates) if self.choice is None else self.choice
            self._made[key] = compiled(update, arguments) if wanted else None
        return self._made[key]

    def give_up(self, error: Exception) -> None:
        """Print a note with the error, and stop compiling."""
        note(f"cannot compile the updates of a stack ({one_line(error)}); continuing without compilation")
        self.choice = False
        self._made.clear()


class CompiledUpdate:
    """An update of a stack, which the compiler may compile. It is called like `StackedUpdate`."""

    def __init__(self, compiler: Compiler, update: StackedUpdate, updates: int) -> None:
        self.compiler, self.update, self.updates = compiler, update, updates
        self._leaves: list[Tensor] = []
        self._tried: set[torch.Size] = set()

    def __call__(
        self, tensors: dict[str, Any], lr: Tensor, inputs: Tensor, targets: Tensor, keys: Tensor | None
    ) -> None:
        """Update all runs that have not ended. Every call must pass the same `tensors`."""
        arguments = (tensors, lr, inputs, targets, keys)
        try:
            function = self.compiler.function(self.update, self.updates, arguments)
            if function is not None:
                self._leaves = self._leaves or static(leaves(tensors))
                function(*self._leaves, *leaves((lr, inputs, targets, keys)))
                self._tried.add(inputs.shape)
                return
        except Exception as error:  # the first call compiles, and this can fail: no C++ compiler, for example
            if inputs.shape in self._tried or is_out_of_memory(error):
                raise
            self.compiler.give_up(error)
        self.update(*arguments)


def leaves(tree: Any) -> list[Tensor]:
    """Return the tensors in nested dicts and tuples, in their order."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def static(tensors: list[Tensor]) -> list[Tensor]:
    """Declare that tensors on a GPU keep their addresses, and return the tensors.

    Without this declaration, CUDA graphs would not change the tensors in place.
    """
    for tensor in tensors:
        if tensor.is_cuda:
            torch._dynamo.mark_static_address(tensor)
    return tensors


def repays(update: StackedUpdate, inputs: Tensor, updates: int) -> bool:
    """Return whether compiling probably saves time over `updates` updates.

    The estimate depends only on sizes, so a resumed run makes the same decision as before.
    """
    device, stack = inputs.device.type, update.stack
    batch = len(inputs) if update.together else inputs.shape[1]
    units = sum(shape[0] for shape in stack.shapes.values() if len(shape) >= 2)
    numbers = len(stack) * (_ACTIVATION * batch * units + _PARAMETER * len(stack.decays))
    return updates * _SAVED * (_START[device] + _NUMBER[device] * numbers) > SECONDS[device]


def compiled(update: StackedUpdate, arguments: Sequence[Any]) -> Function:
    """Return the update as one graph for the shapes of `arguments`. The graph is compiled when it is first called."""
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
        "cpp.vec_isa_ok": True,  # skip torch's test of the CPU's vector instructions, which takes seconds
        "triton.cudagraphs": values[0].is_cuda,
    }
    function: Function = torch.compile(graph, fullgraph=True, dynamic=False, options=options)
    return function
