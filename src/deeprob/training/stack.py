"""The parameters, gradients, buffers, optimizer states and sums of R runs in shared tensors, with one row per run.

A run that trains alone is a stack of one run. Each run has a `TrainState`, and the tensors of this state are views of
the run's row. So each run can be measured and saved as if it trained alone.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from deeprob.config import name_of
from deeprob.optim import OptimizerConfig
from deeprob.optim.rules import RULES, Number, Rule, State, hyper_of
from deeprob.training.metrics import SUMS
from deeprob.training.state import TrainState

WHOLE = "parameters"
"""The name of the block that holds all parameters."""
TILE = 2**18
"""The largest number of entries per run that an update rule updates at once."""
STEP = "step"
"""The entry in which torch's optimizers count updates. SGD has no such entry."""


class NotTogether(Exception):
    """These runs cannot train in one stack, but each can train alone. The message is the reason."""


class Stack:
    """R runs with the same shapes of tensors.

    Parameters
    ----------
    states
        The state of each run. All runs have made the same number of updates. The tensors of the states are replaced by
        views.
    configs
        The config of each run's optimizer. All optimizers are of one kind and have the same flags.
    rule
        Whether an update rule of `deeprob.optim.rules` updates the parameters of all runs together. If not, the torch
        optimizer of each run does, and its state is not in the stack.

    Attributes
    ----------
    shapes
        The shape of each parameter by name: first the weight matrices, then all others.
    parameters
        A tensor (R, P). A row holds all parameters of one run, in the order of `shapes`.
    gradient
        A tensor (R, P). A row holds ∇L(W) of one run, in the order of `shapes`.
    weights, weights_gradient
        Views of `parameters` and `gradient` that contain only the weight matrices.
    tensors
        The parameters and buffers of the models by name, as tensors (R, …).
    gradients
        The gradients by parameter name, as tensors (R, …).
    buffers
        The buffers of the models by name, as tensors (R, …).
    optimizer
        The state of the optimizer for each block, as tensors (R, …) by name. A block is the tensor that the update rule
        changes in one call. If the rule depends on the shape of parameters, each parameter is a block. If not, all
        parameters of a run form one block.
    lr
        The learning rate before the schedule multiplies it: one number for all runs, or an array (R,).
    hyper
        The other hyperparameters of the update rule: for each, one number for all runs, or an array (R,).
    sums
        A tensor (R, 6) of float64 with the sums of `Meters`.
    """

    def __init__(self, states: Sequence[TrainState], configs: Sequence[OptimizerConfig], *, rule: bool) -> None:
        self.states, self.configs = states, configs
        first = states[0].model
        named = sorted(first.named_parameters(), key=lambda pair: pair[1].dim() < 2)
        like = named[0][1]
        self.shapes = {name: parameter.shape for name, parameter in named}
        count = sum(parameter.numel() for _, parameter in named if parameter.dim() >= 2)
        self.parameters = torch.stack(
            [
                torch.cat([parameters[name].detach().flatten() for name in self.shapes])
                for parameters in (dict(state.model.named_parameters()) for state in states)
            ]
        )
        self.gradient = torch.zeros_like(self.parameters)
        self.weights, self.weights_gradient = self.parameters[:, :count], self.gradient[:, :count]
        self.buffers = {
            name: torch.stack([dict(state.model.named_buffers())[name] for state in states])
            for name, _ in first.named_buffers()
        }
        self.tensors = {**self.named(self.parameters), **self.buffers}
        self.gradients = self.named(self.gradient)
        self.sums = torch.zeros(len(SUMS) + 1, len(states), dtype=torch.float64, device=like.device).T
        self.steps = torch.full((len(states),), float(states[0].step), device=like.device)
        self.lr = shared([float(state.optimizer.param_groups[0]["initial_lr"]) for state in states])
        self.rule: Rule | None = RULES[name_of(configs[0])] if rule else None
        self.hyper: dict[str, Number | bool] = {}
        self.optimizer: dict[str, State] = {}
        if self.rule is not None:
            numbers = [hyper_of(config, like.dtype) for config in configs]
            self.hyper = {key: shared([of_run[key] for of_run in numbers]) for key in numbers[0]}
            self.optimizer = {
                block: self.rule.init(values, self._first_lr(), **self.hyper)
                for block, values in self.blocks(self.parameters).items()
            }
            self._entries = [self._entries_of(config, like) for config in configs]
            self._load_optimizers()
        self._adopt()

    def __len__(self) -> int:
        return len(self.states)

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Split a tensor (…, P) into tensors with the shapes of the parameters. The keys are the parameter names."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes.values()], -1)
        return {
            name: part.view(flat.shape[:-1] + shape)
            for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def blocks(self, flat: Tensor) -> dict[str, Tensor]:
        """Split a tensor (R, P) into the blocks of the update rule. A number per run is a vector (R, 1)."""
        if self.rule is None or not self.rule.shaped:
            return {WHOLE: flat}
        return {name: part if part.dim() > 1 else part[:, None] for name, part in self.named(flat).items()}

    def tiles(self) -> Iterator[tuple[Tensor, Tensor, State]]:
        """Yield parameters, gradients and optimizer states, as views, in parts that an update rule updates in turn.

        A part is a block. A long block is cut into pieces of `TILE` entries per run, which stay in the cache during the
        operations of the rule. It is not cut if the rule keeps a number per run, which it would change for each piece.
        """
        gradients = self.blocks(self.gradient)
        for block, parameters in self.blocks(self.parameters).items():
            state, length = self.optimizer.get(block, {}), parameters.shape[1]
            if parameters.dim() > 2 or any(values.shape != parameters.shape for values in state.values()):
                yield parameters, gradients[block], state
                continue
            for start in range(0, length, TILE):
                part = (slice(None), slice(start, start + TILE))
                yield parameters[part], gradients[block][part], {name: values[part] for name, values in state.items()}

    def changing(self) -> Iterator[Tensor]:
        """Yield the tensors of the stack that an update changes, except the sums.

        These are the parameters, the buffers and the state of the update rule.
        """
        yield self.parameters
        yield from self.buffers.values()
        for state in self.optimizer.values():
            yield from state.values()

    def _first_lr(self) -> Number:
        """Return the learning rate in the first update: one number for all runs, or an array (R,)."""
        rates = np.broadcast_to(self.lr, len(self)).tolist()
        return shared([lr * state.schedule(0) for lr, state in zip(rates, self.states, strict=True)])

    def _entries_of(self, config: OptimizerConfig, like: Tensor) -> set[str]:
        """Return the names of the entries in the state of torch's optimizer for one config.

        The state of the stack may have more entries. Example: only runs with momentum need a sum of gradients. But if
        one run has momentum, the stack stores a sum for every run.
        """
        assert self.rule is not None
        entries = self.rule.init(like.detach().new_zeros(1, 1), 0.0, **hyper_of(config, like.dtype))
        if self.rule.shaped:
            return {name for state in self.optimizer.values() for name in state} | {STEP}
        return {*entries} if name_of(config) == "sgd" else {*entries, STEP}

    def _load_optimizers(self) -> None:
        """Copy the states of torch's optimizers into the stack, for runs that have made updates."""
        for run, state in enumerate(self.states):
            if state.step:
                for name, parameter in state.model.named_parameters():
                    for key, value in state.optimizer.state[parameter].items():
                        view = self._row(run, name, key)
                        if view is not None and value is not None:
                            view.copy_(value)

    def _row(self, run: int, name: str, key: str) -> Tensor | None:
        """Return a view of one entry of the optimizer's state. If the update rule has no such entry, return None."""
        if key == STEP:
            return self.steps[run]
        assert self.rule is not None
        block = self.optimizer[name if self.rule.shaped else WHOLE]
        if key not in block:
            return None
        row = block[key][run]
        if self.rule.shaped:
            return row if self.shapes[name] else row[0]
        return row[0] if row.numel() == 1 and self.parameters.shape[1] != 1 else self.named(row)[name]

    def _adopt(self) -> None:
        """Replace the tensors in the state of each run by views of the run's row."""
        for run, state in enumerate(self.states):
            for name, parameter in state.model.named_parameters():
                parameter.data = self.tensors[name][run]
                parameter.grad = None if self.rule is not None else self.gradients[name][run]
                if self.rule is not None:
                    views = {key: self._row(run, name, key) for key in sorted(self._entries[run])}
                    state.optimizer.state[parameter] = {key: view for key, view in views.items() if view is not None}
            for name, buffer in state.model.named_buffers():
                buffer.data = self.buffers[name][run]
            state.meters.share(self.sums[run])


def shared(values: Sequence[float]) -> Number:
    """Return the value if it is the same for all runs; else return an array (R,) of float64."""
    return values[0] if len(set(values)) == 1 else np.array(values, dtype=np.float64)
