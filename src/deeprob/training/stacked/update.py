"""One update of all runs in a stack (runs that train together), as one function of tensors."""

import copy
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.models import Model
from deeprob.objective import Objective, Parts, weights
from deeprob.objective.regularizers import ElasticNet
from deeprob.training.metrics import correct_count
from deeprob.training.stacked.stack import Stack, columns

Numbers = dict[str, Tensor]


@dataclass(frozen=True)
class StackedObjective:
    """The objectives of several runs, which differ only in numbers such as the regularization strength.

    Attributes
    ----------
    objective
        The objective of one of the runs.
    numbers
        The numbers that differ between runs, by name, each (R,). Examples: ``l2``, ``label_smoothing``.
    """

    objective: Objective
    numbers: Numbers = field(default_factory=dict)

    @classmethod
    def of(cls, objectives: Sequence[Objective], like: Tensor, varying: Collection[str] = ()) -> "StackedObjective":
        """Return the stacked form of objectives that differ only in numbers.

        Parameters
        ----------
        objectives
            The objective of each run.
        like
            A tensor with the device and dtype of the runs.
        varying
            The names of numbers that become tensors even if all runs have the same value.
        """
        losses = [objective.loss for objective in objectives]
        regularizers = [objective.regularizer for objective in objectives]
        # the regularizer `none` becomes an elastic net of strength 0
        if len({type(r) for r in regularizers}) > 1 or set(ElasticNet.numbers) & set(varying):
            proximal = any(regularizer.proximal for regularizer in regularizers if isinstance(regularizer, ElasticNet))
            regularizers = [r if isinstance(r, ElasticNet) else ElasticNet(0.0, 0.0, proximal) for r in regularizers]
        numbers = {}
        for parts in (losses, regularizers):
            for name in parts[0].numbers:
                values = [getattr(part, name) for part in parts]
                if len(set(values)) > 1 or name in varying:
                    numbers[name] = columns(values, like.device, like.dtype)
        return cls(Objective(losses[0], regularizers[0]), numbers)

    def of_run(self, numbers: Mapping[str, Tensor]) -> Objective:
        """Return the objective of the run that has these numbers."""
        loss, regularizer = copy.copy(self.objective.loss), copy.copy(self.objective.regularizer)
        for part in (loss, regularizer):
            for name in numbers.keys() & set(part.numbers):
                setattr(part, name, numbers[name])
        return Objective(loss, regularizer)


@dataclass(frozen=True)
class StackedUpdate:
    """A function that updates all runs of a stack once, in place.

    Each run changes as `deeprob.training.update.Update` would change it.

    Attributes
    ----------
    stack, objective
        The tensors and the objectives of the runs.
    model
        The model of one of the runs. It computes the scores of every run, with the parameters of that run.
    features
        The module that prepares a batch for the model.
    together
        Whether all runs use the same batch.
    bf16
        See `deeprob.training.loop.train`.
    """

    stack: Stack
    objective: StackedObjective
    model: Model
    features: Features
    together: bool
    bf16: bool

    @property
    def constants(self) -> tuple[Any, ...]:
        """The values that are fixed when an update is compiled. Updates with equal values share the compiled update."""
        parts = self.objective.objective.loss, self.objective.objective.regularizer
        numbers = [(name, getattr(part, name)) for part in parts for name in part.numbers]
        kept = [(name, value) for name, value in numbers if name not in self.objective.numbers]
        return (*sorted(self.stack.fixed.items()), *kept, *map(type, parts), self.model.noisy)

    def tensors(self) -> dict[str, Any]:
        """Return all tensors that an update changes, and the tensors of hyperparameters that it uses."""
        stack = self.stack
        return {
            "parameters": stack.parameters,
            "buffers": stack.buffers,
            "optimizer": stack.optimizer,
            "frozen": stack.frozen,
            "sums": stack.sums,
            "hyper": stack.hyper,
            "decays": stack.blocks(stack.decays),
            "numbers": self.objective.numbers,
        }

    def __call__(
        self, tensors: dict[str, Any], lr: Tensor, inputs: Tensor, targets: Tensor, keys: Tensor | None
    ) -> None:
        """Update all runs that have not ended.

        Parameters
        ----------
        tensors
            The result of the method `tensors`.
        lr
            The learning rates (R,) float64.
        inputs, targets
            Extracted inputs (R, B, …), and targets (R, B) or (R, B, K). If all runs use the same batch, the dimension
            R is missing.
        keys
            The keys (R,) of the random numbers in this update; None if the model uses no random numbers.
        """
        stack, runs = self.stack, len(lr)
        before = stack.named(tensors["parameters"])
        with torch.enable_grad():
            leaves = {name: values.detach().requires_grad_() for name, values in before.items()}
            parts, correct, buffers = self._losses(leaves, tensors, self._prepared(inputs), targets, keys)
            gradients = torch.autograd.grad(parts.loss.sum(), list(leaves.values()))
        parts = Parts(*(part.detach() for part in parts))
        gradient = torch.cat([values.reshape(runs, -1) for values in gradients], 1)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        after, optimizer = self._rule(tensors, gradient, lr)
        finite = torch.isfinite(parts.loss + norm) & torch.isfinite(torch.linalg.vector_norm(after, dim=1))
        after = self._shrunk(after, lr, tensors["numbers"])
        frozen = torch.maximum(tensors["frozen"], (~finite).to(norm.dtype))

        def become(old: Tensor, new: Tensor) -> None:
            still = (frozen > 0).view(-1, *(1,) * (old.dim() - 1))
            old.copy_(torch.where(still, old, new.to(old.dtype)))

        become(tensors["parameters"], after)
        for name, values in buffers.items():
            become(tensors["buffers"][name], values)
        for block, states in optimizer.items():
            for name, values in states.items():
                become(tensors["optimizer"][block][name], values)
        count = targets.shape[0 if self.together else 1]
        rows = [*(part * count for part in parts), correct, norm, frozen]
        tensors["sums"].add_(torch.stack([row.double() for row in rows], 1))
        tensors["frozen"].copy_(frozen)

    @torch.no_grad()
    def measure(self, tensors: dict[str, Any], examples: Examples, chunk_size: int) -> list[dict[str, float]]:
        """Return the metrics of a split for each run, as `deeprob.training.metrics.evaluate` does for one run.

        `chunk_size` is the number of examples in memory at once, counted over all runs.
        """

        def of_run(
            parameters: dict[str, Tensor], buffers: dict[str, Tensor], numbers: Numbers, inputs: Tensor, targets: Tensor
        ) -> tuple[Tensor, Tensor]:
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
                scores = functional_call(self.model, {**parameters, **buffers}, (inputs, None))
            scores = scores.to(inputs.dtype)
            loss: Tensor = self.objective.of_run(numbers).loss(scores, targets)
            return loss.double().sum(), correct_count(scores, targets).double()

        stacked = vmap(of_run, in_dims=(0, 0, 0, None, None))
        named = self.stack.named(tensors["parameters"])
        sums = torch.zeros(2, len(self.stack), dtype=torch.float64, device=examples.targets.device)
        training = self.model.training
        self.model.eval()
        size = max(1, chunk_size // len(self.stack))
        for start in range(0, len(examples), size):
            part = examples[start : start + size]
            seen = self.features(part.inputs)
            sums += torch.stack(stacked(named, tensors["buffers"], tensors["numbers"], seen, part.targets))
        self.model.train(training)
        classes = not examples.targets.is_floating_point()
        return [
            {"loss": loss, "accuracy": accuracy} if classes else {"loss": loss}
            for loss, accuracy in (sums / len(examples)).T.tolist()
        ]

    def _prepared(self, inputs: Tensor) -> Tensor:
        """Return the extracted inputs after `features` has prepared them for the model."""
        flat = inputs if self.together else inputs.flatten(0, 1)
        prepared: Tensor = self.features(flat)
        return prepared if self.together else prepared.view(*inputs.shape[:2], *prepared.shape[1:])

    def _losses(
        self,
        parameters: dict[str, Tensor],
        tensors: dict[str, Any],
        inputs: Tensor,
        targets: Tensor,
        keys: Tensor | None,
    ) -> tuple[Parts, Tensor, dict[str, Tensor]]:
        """Return L(W) and its terms (R,), the numbers of correct examples (R,), and the changed buffers of all runs."""

        def of_run(
            parameters: dict[str, Tensor],
            buffers: dict[str, Tensor],
            numbers: Numbers,
            inputs: Tensor,
            targets: Tensor,
            key: Tensor | None,
        ) -> tuple[Parts, Tensor, dict[str, Tensor]]:
            buffers = {name: values.clone() for name, values in buffers.items()}  # norm layers write into their buffers
            with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
                scores = functional_call(self.model, {**parameters, **buffers}, (inputs, key))
            scores = scores.to(inputs.dtype)
            parts = self.objective.of_run(numbers)(scores, targets, parameters)
            return parts, correct_count(scores.detach(), targets), buffers

        batch = None if self.together else 0
        stacked = vmap(of_run, in_dims=(0, 0, 0, batch, batch, None if keys is None else 0))
        result: tuple[Parts, Tensor, dict[str, Tensor]] = stacked(
            parameters, tensors["buffers"], tensors["numbers"], inputs, targets, keys
        )
        return result

    def _rule(
        self, tensors: dict[str, Any], gradient: Tensor, lr: Tensor
    ) -> tuple[Tensor, dict[str, dict[str, Tensor]]]:
        """Return the parameters (R, P) and the states of the optimizer after one step of the update rule."""
        stack, optimizer, after = self.stack, {}, {}
        gradients = stack.blocks(gradient)
        for block, parameters in stack.blocks(tensors["parameters"]).items():
            decays, states = tensors["decays"][block], tensors["optimizer"][block]

            def step(
                parameter: Tensor,
                gradient: Tensor,
                state: dict[str, Tensor],
                lr: Tensor,
                hyper: Numbers,
                decays: Tensor,
            ) -> tuple[Tensor, dict[str, Tensor]]:
                exact = {name: value.double() if value.dim() == 0 else value for name, value in state.items()}
                result: tuple[Tensor, dict[str, Tensor]] = stack.rule.update(
                    parameter, gradient, exact, lr, **stack.settings(hyper, decays)
                )
                return result[0], {"step": exact["step"] + 1, **result[1]}

            stepped = vmap(step, in_dims=(0, 0, 0, 0, 0, None))
            after[block], optimizer[block] = stepped(parameters, gradients[block], states, lr, tensors["hyper"], decays)
        return stack.joined(after, len(lr)), optimizer

    def _shrunk(self, flat: Tensor, lr: Tensor, numbers: Numbers) -> Tensor:
        """Return the parameters (R, P) after the proximal step of the regularizer, if it has such a step."""
        if not getattr(self.objective.objective.regularizer, "proximal", False):
            return flat
        named = self.stack.named(flat)

        def shrink(weight: Tensor, lr: Tensor, numbers: Numbers) -> Tensor:
            return self.objective.of_run(numbers).regularizer.shrink(weight, lr)

        chosen = weights({name: values[0] for name, values in named.items()})
        shrunk = {name: vmap(shrink)(named[name], lr, numbers) for name in chosen}
        return torch.cat([values.reshape(len(lr), -1) for values in (named | shrunk).values()], 1)
