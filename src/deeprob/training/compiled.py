"""Updates of stacks made faster: traced once into one graph, and compiled where that repays."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten, tree_unflatten

from deeprob import randomness
from deeprob.errors import one_line
from deeprob.tracking.console import note
from deeprob.training.stacked_update import StackedUpdate

SECONDS = {"cpu": 12.0, "cuda": 30.0}
"""About how long compiling takes."""
_START, _NUMBER, _SAVED = 0.8e-3, 0.4e-9, 0.6
"""Of an update that is not compiled: seconds whatever its size, seconds a number that it handles, and the share of both
that compiling saves (measured on one CPU thread)."""
_PASSES = 12, 25
"""About how often an update reads or writes an activation, and a parameter."""

Function = Callable[..., object]


class Compiler:
    """Compiles the updates of stacks, and keeps what it compiled for stacks of the same structure.

    Parameters
    ----------
    choice
        Whether to compile; None where the estimate says that it repays.
    stacks
        How many stacks of the structure there are.
    """

    def __init__(self, choice: bool | None, stacks: int = 1) -> None:
        self.choice = choice
        self.stacks = stacks
        self._made: dict[tuple[int, torch.Size], Function | None] = {}

    def of(self, update: StackedUpdate, updates: int) -> "CompiledUpdate":
        """Return an update of one stack, of which there will be so many."""
        return CompiledUpdate(self, update, updates * self.stacks)

    def function(self, update: StackedUpdate, updates: int, arguments: Sequence[Any]) -> Function | None:
        """Return what takes the tensors in `arguments` one by one; None where an update stays as it is."""
        tensors, lr, inputs = arguments[:3]
        key = len(lr), inputs.shape
        if key not in self._made:
            wanted = repays(tensors, inputs, updates) if self.choice is None else self.choice
            self._made[key] = compiled(update, arguments) if wanted else None
        return self._made[key]


class CompiledUpdate:
    """An update of a stack, called like `StackedUpdate`."""

    def __init__(self, compiler: Compiler, update: StackedUpdate, updates: int) -> None:
        self.compiler, self.update, self.updates = compiler, update, updates
        self._leaves: list[Tensor] = []

    def __call__(
        self, tensors: dict[str, Any], lr: Tensor, inputs: Tensor, targets: Tensor, keys: Tensor | None
    ) -> None:
        """Update all runs that are not frozen; `tensors` are the same each time."""
        arguments = (tensors, lr, inputs, targets, keys)
        function = self.compiler.function(self.update, self.updates, arguments)
        if function is None:
            self.update(*arguments)
            return
        self._leaves = self._leaves or leaves(tensors)
        function(*self._leaves, *leaves((lr, inputs, targets, keys)))


def leaves(tree: Any) -> list[Tensor]:
    """Return the tensors in nested dicts and tuples, in their order."""
    return [leaf for leaf in tree_flatten(tree)[0] if isinstance(leaf, Tensor)]


def repays(tensors: dict[str, Any], inputs: Tensor, updates: int) -> bool:
    """Estimate whether so many updates are sooner done if compiled, the time for compiling included.

    It follows from sizes alone, so that a run that goes on decides as before.
    """
    runs, count = tensors["parameters"].shape
    batch = inputs.shape[1]
    units = 2 * count // max(1, inputs[0, 0].numel())  # a generous guess: parameters per input
    numbers = runs * (_PASSES[0] * batch * min(units, count) + _PASSES[1] * count)
    seconds: float = updates * _SAVED * (_START + _NUMBER * numbers)
    return seconds > SECONDS[inputs.device.type]


def compiled(update: StackedUpdate, arguments: Sequence[Any]) -> Function | None:
    """Return an update compiled for the shapes of its arguments; None, with a remark, where that cannot be done."""
    flat, spec = tree_flatten(tuple(arguments))
    places = [place for place, leaf in enumerate(flat) if isinstance(leaf, Tensor)]

    def of_tensors(*values: Tensor) -> tuple[()]:
        whole = list(flat)
        for place, value in zip(places, values, strict=True):
            whole[place] = value
        update(*tree_unflatten(whole, spec))
        return ()

    try:
        values = [flat[place] for place in places]
        with randomness.tracing():
            graph = make_fx(of_tensors, tracing_mode="fake", _allow_non_fake_inputs=True)(*values)
        options: dict[str, str | int | bool | Callable[..., Any]] = {"cpp.vec_isa_ok": True}
        function: Function = torch.compile(graph, fullgraph=True, dynamic=False, options=options)
        _probe(function, values)
    except Exception as error:  # of torch, of a compiler that is not there, of what it makes
        note(f"cannot compile the update of a stack ({one_line(error)}); going on without")
        return None
    return function


def _probe(function: Function, values: Sequence[Tensor]) -> None:
    """Call a function once on copies, which is when it is compiled."""
    function(*(value.clone() for value in values))
