"""A stack: the parameters, buffers, optimizer states and sums of several runs, in tensors with one row per run.

Every run keeps its own `TrainState`. The tensors of this state become views of the run's rows. So a run can be measured
and written to a checkpoint as if it trained alone.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from deeprob.config import name_of
from deeprob.optim import OptimizerConfig
from deeprob.optim.rules import RULES, State, hyper_of
from deeprob.training.metrics import SUMS
from deeprob.training.state import TrainState

Template = Mapping[str, Any]
WHOLE = "parameters"


class Stack:
    """The tensors of R runs, in which each run has one row. All runs have P parameters of the same shapes.

    Parameters
    ----------
    states
        The state of each run, all after the same number of updates. Their tensors are replaced by views of the rows.
    configs
        The config of each run's optimizer. All optimizers are of one kind and have the same flags (bools).
    varying
        The names of hyperparameters that become tensors even if all runs have the same value.

    Attributes
    ----------
    parameters
        (R, P). Each row holds all parameters of one run as one vector.
    buffers
        The model's buffers by name, each (R, …).
    optimizer
        The state of the optimizer, each tensor (R, …), by block and then by name. A block is a tensor that the update
        rule updates at once. If the rule depends on the shape of parameters, each parameter is a block. Otherwise all
        parameters together are one block. States that torch keeps as numbers are (R,), in torch's precision.
    lr
        The learning rates (R,) float64, before a schedule multiplies them.
    hyper, fixed
        The other hyperparameters of the update rule. `hyper` holds those that differ between runs, each (R,) float64.
        `fixed` holds those that all runs share.
    decays
        (P,): 1 for entries of weight matrices, which weight decay shrinks; 0 for all others.
    frozen
        (R,): 1 for each run that has ended, so that updates no longer change it; 0 for the others.
    sums
        The sums of measurements (R, 6) float64 (see `Meters`).
    """

    def __init__(
        self,
        states: Sequence[TrainState],
        configs: Sequence[OptimizerConfig],
        varying: Collection[str] = (),
    ) -> None:
        self.states, self.rule = states, RULES[name_of(configs[0])]
        first = states[0].model
        named = dict(first.named_parameters())
        like = next(iter(named.values()))
        self.shapes = {name: parameter.shape for name, parameter in named.items()}
        self.decays = torch.cat([p.new_full((p.numel(),), float(p.dim() >= 2)) for p in named.values()])
        self.parameters = torch.stack([torch.cat([p.detach().flatten() for p in s.model.parameters()]) for s in states])
        self.buffers = {
            name: torch.stack([dict(state.model.named_buffers())[name] for state in states])
            for name, _ in first.named_buffers()
        }
        numbers = [hyper_of(config, like.dtype) for config in configs]
        self.lr = columns([config.arguments()["lr"] for config in configs], like.device)
        self.hyper = {
            key: columns(values, like.device)
            for key in numbers[0]
            if len(set(values := [of_run[key] for of_run in numbers])) > 1 or key in varying
        }
        self.fixed = {key: value for key, value in numbers[0].items() if key not in self.hyper}
        self.frozen = torch.stack([state.frozen for state in states])
        self.sums = torch.zeros(len(states), len(SUMS) + 1, dtype=torch.float64, device=like.device)
        self._templates = templates(states, self.hyper)
        self.optimizer = self._optimizer_states()
        self._adopt()

    def __len__(self) -> int:
        return len(self.states)

    def named(self, flat: Tensor) -> dict[str, Tensor]:
        """Split a tensor (…, P) into parameters. Return them by name, each in its own shape."""
        parts = torch.split(flat, [shape.numel() for shape in self.shapes.values()], -1)
        leading = flat.shape[:-1]
        return {
            name: part.view(*leading, *shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def blocks(self, flat: Tensor) -> dict[str, Tensor]:
        """Split a tensor (…, P) into the blocks of the update rule (see `optimizer`)."""
        return self.named(flat) if self.rule.shaped else {WHOLE: flat}

    def joined(self, blocks: Mapping[str, Tensor], runs: int) -> Tensor:
        """Join the blocks of several runs to one tensor (R, P)."""
        return (
            torch.cat([block.reshape(runs, -1) for block in blocks.values()], 1) if self.rule.shaped else blocks[WHOLE]
        )

    def settings(self, varying: Mapping[str, Tensor], decays: Tensor) -> dict[str, Any]:
        """Return the hyperparameters of the update rule for one run and one block of its parameters.

        `varying` holds the hyperparameters that differ between runs, with the values of this run. `decays` is the
        block's part of the attribute `decays`. Weight decay acts only on weight matrices, so it becomes a tensor with
        one value per entry of the block.
        """
        settings = {**self.fixed, **varying}
        if isinstance(decay := settings.get("weight_decay", 0.0), Tensor) or decay:
            settings["weight_decay"] = decay * decays
        return settings

    def _optimizer_states(self) -> dict[str, State]:
        """Return the states of the update rule by block. If runs are resumed, the states come from their optimizers."""
        templates = self._templates
        first = self.lr * columns([state.schedule(0) for state in self.states], self.lr.device)
        states: dict[str, State] = {}
        for block, parameters in self.blocks(self.parameters).items():
            decays = self.blocks(self.decays)[block]

            def init(parameter: Tensor, lr: Tensor, hyper: dict[str, Tensor], decays: Tensor = decays) -> State:
                return self.rule.init(parameter, lr, **self.settings(hyper, decays))

            fresh = vmap(init)(parameters, first, self.hyper)
            member = next(iter(self.shapes)) if block == WHOLE else block
            steps = self.lr.new_tensor([state.step for state in self.states])
            states[block] = {"step": steps.to(_dtype(templates, member, "step", steps)), **fresh}
            for name, values in states[block].items():
                states[block][name] = values.clone().to(_dtype(templates, member, name, values))
            if "step" in fresh:
                states[block]["step"].copy_(steps)
        for run, state in enumerate(self.states):
            if state.step:
                for name, parameter in state.model.named_parameters():
                    for key, value in state.optimizer.state[parameter].items():
                        view = self._row(states, run, name, key)
                        if view is not None and value is not None:
                            view.copy_(value)
        return states

    def _row(self, states: Mapping[str, State], run: int, name: str, key: str) -> Tensor | None:
        """Return a view of state `key` of parameter `name` in a run, or None if the rule has no such state."""
        block = states[name if self.rule.shaped else WHOLE]
        if key not in block:
            return None
        row = block[key][run]
        return row if self.rule.shaped or row.dim() == 0 else self.named(row)[name]

    def _adopt(self) -> None:
        """Replace the tensors in the `TrainState` of every run by views of the run's rows."""
        for run, (state, templates) in enumerate(zip(self.states, self._templates, strict=True)):
            for (name, parameter), row in zip(
                state.model.named_parameters(), self.named(self.parameters[run]).values(), strict=True
            ):
                parameter.data = row
                if templates[name]:
                    state.optimizer.state[parameter] = {
                        key: value if value is None else self._row(self.optimizer, run, name, key)
                        for key, value in templates[name].items()
                    }
            for name, buffer in state.model.named_buffers():
                buffer.data = self.buffers[name][run]
            state.frozen = self.frozen[run]
            state.meters.share(self.sums[run])


def columns(values: Sequence[float | bool], device: torch.device, dtype: torch.dtype = torch.float64) -> Tensor:
    """Return a tensor (R,) with one number per run."""
    return torch.tensor(values, dtype=dtype, device=device)


def templates(states: Sequence[TrainState], hyper: Mapping[str, Tensor]) -> list[dict[str, Template]]:
    """Return the state that torch's optimizer has after one update, for each run and by the name of the parameter.

    The state has other entries if a hyperparameter is 0. Example: SGD without momentum keeps no sum of gradients.
    """
    known: dict[tuple[bool, ...], dict[str, Template]] = {}
    found = []
    for state, *numbers in zip(states, *(values.tolist() for values in hyper.values()), strict=True):
        zeros = tuple(number == 0 for number in numbers)
        if zeros not in known:
            after = state.optimizer_after_an_update()
            order = [parameter for group in state.optimizer.param_groups for parameter in group["params"]]
            places = {id(parameter): place for place, parameter in enumerate(order)}
            known[zeros] = {name: after.get(places[id(p)], {}) for name, p in state.parameters.items()}
        found.append(known[zeros])
    return found


def _dtype(templates: Sequence[Mapping[str, Template]], member: str, name: str, like: Tensor) -> torch.dtype:
    """Return the dtype of entry `name` in torch's state of parameter `member`, or that of `like` if there is none."""
    for template in templates:
        if isinstance(value := template[member].get(name), Tensor):
            return value.dtype
    return like.dtype
