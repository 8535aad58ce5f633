"""∇L(W) over a batch for every run of a stack: by formulas, or by autograd."""

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from deeprob import randomness
from deeprob.errors import DeeprobError, is_out_of_memory, one_line
from deeprob.features import Features
from deeprob.models import Model
from deeprob.models.backpropagation import Backpropagation
from deeprob.objective import Objective
from deeprob.objective.regularizers import ElasticNet
from deeprob.tracking.console import note
from deeprob.training.draws import Batch
from deeprob.training.metrics import correct_count
from deeprob.training.predictor import forward
from deeprob.training.ranks import Ranks, Sum
from deeprob.training.stack import NotTogether, Stack


class Terms(NamedTuple):
    """The terms of L(W) over a batch, and the number of correct examples.

    Attributes
    ----------
    losses, examples
        The data loss is losses/examples. Formulas give the sum of the losses of all examples, (R,). Autograd gives the
        mean, with 1 as `examples`.
    regularization
        λR(W), (R,); None if there is no regularization.
    correct
        The number of correct examples, (R,).
    total
        L(W) as autograd added its terms, (R,). None with formulas: L(W) is the sum of the two terms above.
    """

    losses: Tensor
    examples: int
    regularization: Tensor | None
    correct: Tensor
    total: Tensor | None = None

    def like(self, losses: Tensor, regularization: Tensor, correct: Tensor, total: Tensor) -> "Terms":
        """Return terms with other numbers (0-d). They have the same dtypes, and None in the same places."""
        return Terms(
            losses[None].to(self.losses),
            self.examples,
            None if self.regularization is None else regularization[None].to(self.regularization),
            correct[None].to(self.correct),
            None if self.total is None else total[None].to(self.total),
        )

    @property
    def data_loss(self) -> Tensor:
        """The mean loss of the examples, (R,)."""
        return self.losses if self.examples == 1 else self.losses / self.examples

    @property
    def loss(self) -> Tensor:
        """L(W), (R,)."""
        if self.total is not None:
            return self.total
        return self.data_loss if self.regularization is None else self.data_loss + self.regularization


class Gradient(ABC):
    """A function that computes L(W) and its gradient over a batch, and writes the gradient into the stack.

    A batch of more than `chunk_size` examples is split into chunks. If chunk k has n_k of the N examples, the loss of
    the whole batch is L(W) = Σ_k (n_k/N)·L_k(W). Weights of examples have mean 1 in the batch, not in each chunk. If
    several processes train the run, they compute the chunks at the same time: rank 0 computes the first chunk, rank 1
    the second, and so on. Then every process has the same sum, and its bits are those of one process with the same
    chunks.

    Parameters
    ----------
    stack
        The runs.
    objective
        The objective of all runs, made by `stacked`. `AutogradGradient` takes the objective of its only run instead.
    model
        The model of any one run.
    features
        The module that prepares a batch for the model. None: batches are prepared already.
    chunk_size
        The largest number of examples of a run that are in memory together.
    bf16
        Whether to compute matrix products in bfloat16.
    halving
        Whether to halve `chunk_size` when memory runs out.
    ranks
        The processes that train the run together. None: this process trains without others.
    """

    def __init__(
        self,
        stack: Stack,
        objective: Objective,
        model: Model,
        features: Features | None,
        chunk_size: int,
        *,
        bf16: bool = False,
        halving: bool = False,
        ranks: Ranks | None = None,
    ) -> None:
        self.stack, self.objective, self.model, self.features = stack, objective, model, features
        self.chunk_size, self.bf16, self.halving = chunk_size, bf16, halving
        self.ranks = ranks or Ranks()
        self.evaluations = 0

    def __call__(self, batch: Batch) -> Terms:
        """Return the terms of L(W), and write ∇L(W) into the stack."""
        self.evaluations += 1
        while True:
            count = batch.targets.shape[1]
            try:
                alone = count <= self.chunk_size and self.ranks.count == 1
                return self.whole(batch) if alone else self._in_chunks(batch, count)
            except Exception as error:
                chunk = min(self.chunk_size, count)
                if not self.halving or chunk == 1 or not is_out_of_memory(error):
                    raise
            self.chunk_size = chunk // 2
            if batch.targets.is_cuda:
                torch.cuda.empty_cache()
            note(f"not enough memory for chunks of {chunk} examples; continuing with {self.chunk_size} at once")

    @abstractmethod
    def whole(self, batch: Batch, share: float = 1.0) -> Terms:
        """Return the terms of share·L(W) over a batch that fits in memory, and write its gradient into the stack.

        With formulas, the terms hold the sum of the losses, which `share` does not change.
        """

    @abstractmethod
    def losses(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the data losses (R, B) and the scores (R, B, C). Dropout is off.

        Inputs (R, B, …) are prepared. Targets are (R, B) or (R, B, K).
        """

    @functools.cached_property
    def _total(self) -> Sum:
        """The sum of the gradients of all chunks."""
        return Sum(self.ranks, self.stack.gradient)

    def _in_chunks(self, batch: Batch, count: int) -> Terms:
        ranks, size = self.ranks, self.chunk_size
        sums: list[Terms] = []
        self._total.clear()
        for first in range(0, count, size * ranks.count):
            starts = range(first, count, size)[: ranks.count]
            # a process without a chunk repeats the last example; its result is left out
            own = starts[ranks.rank] if ranks.rank < len(starts) else count - 1
            sums += self._of_all(batch, own, count)[: len(starts)]
            self._total.add(len(starts))
        self._total.spread()
        losses, _, *others = zip(*sums, strict=True)
        regularization, correct, whole = (None if of[0] is None else torch.stack(of).sum(0) for of in others)
        assert correct is not None
        return Terms(torch.stack(losses).sum(0), count if whole is None else 1, regularization, correct, whole)

    def _chunk(self, batch: Batch, start: int, count: int) -> Terms:
        """Return the terms of the chunk that begins at example `start`, and write its gradient into the stack."""
        part = slice(start, start + self.chunk_size)
        keys, weights = batch.keys, batch.weights
        if keys is not None and count > self.chunk_size:
            keys = randomness.fold(keys, start)
        weights = None if weights is None else weights[:, part]
        chunk = Batch(batch.inputs[:, part], batch.targets[:, part], keys, weights)
        return self.whole(chunk, share=chunk.targets.shape[1] / count)

    def _of_all(self, batch: Batch, start: int, count: int) -> list[Terms]:
        """Compute the chunk of this process, and return the terms of all processes' chunks, in the order of ranks.

        Raises
        ------
        MemoryError
            If chunks can be halved, and memory ran out in any process. The error is raised in all processes.
        """
        if self.ranks.count == 1:
            return [self._chunk(batch, start, count)]
        numbers, mine = self.stack.gradient.new_zeros(5, dtype=torch.float64), None
        try:
            mine = self._chunk(batch, start, count)
        except Exception as error:
            if not self.halving or not is_out_of_memory(error):
                raise
            numbers[4] = 1
        else:
            tensors = mine.losses, mine.regularization, mine.correct, mine.total
            numbers[:4] = torch.cat([numbers[:1] if tensor is None else tensor.double() for tensor in tensors])
        rows = self.ranks.gathered(numbers)
        if mine is None or rows[:, 4].any():
            raise MemoryError("not enough memory in one of the processes")
        return [mine.like(*row[:4]) for row in rows]

    def prepared(self, inputs: Tensor) -> Tensor:
        """Prepare the inputs (R, B, …) of all runs for the model with `features`, and return them."""
        if self.features is None:
            return inputs
        prepared: Tensor = self.features(inputs.flatten(0, 1))
        return prepared.view(*inputs.shape[:2], *prepared.shape[1:])


class FormulaGradient(Gradient):
    """The gradient as a chain of formulas (see `Backpropagation`)."""

    @functools.cached_property
    def backpropagation(self) -> Backpropagation:
        """The formulas of the model."""
        formulas = self.model.formulas()
        assert formulas is not None
        return Backpropagation(formulas)

    def whole(self, batch: Batch, share: float = 1.0) -> Terms:
        """Return the terms of share·L(W), and write its gradient into the stack."""
        stack, loss, regularizer = self.stack, self.objective.loss, self.objective.regularizer
        scores, saved = self._scores(self.prepared(batch.inputs), True, batch.keys)
        losses, slopes = loss.with_slopes(scores, batch.targets, batch.weights)
        slopes.mul_(1 / losses.shape[1])
        self.backpropagation.backward(slopes.bfloat16() if self.bf16 else slopes, saved, stack.tensors, stack.gradients)
        penalty = regularizer.with_gradient(stack.weights, stack.weights_gradient)
        if share != 1.0:
            stack.gradient.mul_(share)
            penalty = None if penalty is None else penalty * share
        return Terms(losses.sum(1), losses.shape[1], penalty, correct_in_stack(scores, batch.targets))

    def losses(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the data losses (R, B) and the scores (R, B, C). Dropout is off."""
        scores, _ = self._scores(inputs, False, None)
        return self.objective.loss.with_slopes(scores, targets)[0], scores

    def _scores(self, inputs: Tensor, training: bool, keys: Tensor | None) -> tuple[Tensor, list[object]]:
        """Return the scores (R, B, C) of prepared inputs (R, B, …), and the values that the backward pass needs."""
        if inputs.dim() > 3:
            inputs = inputs.flatten(2)
        scores, saved = self.backpropagation.forward(
            inputs.bfloat16() if self.bf16 else inputs, self.stack.tensors, training, keys
        )
        return scores.to(inputs.dtype), saved


class AutogradGradient(Gradient):
    """The gradient by autograd for a single run, as in an ordinary PyTorch program."""

    def whole(self, batch: Batch, share: float = 1.0) -> Terms:
        """Return the terms of share·L(W), and write its gradient into the stack."""
        self.stack.gradient.zero_()
        key = None if batch.keys is None else batch.keys[0]
        inputs, targets = self.prepared(batch.inputs)[0], batch.targets[0]
        weights = None if batch.weights is None else batch.weights[0]
        with torch.enable_grad():
            scores = forward(self.model, inputs, key, self.bf16)
            parts = self.objective(scores, targets, dict(self.model.named_parameters()), weights)
            if share != 1.0:
                parts = type(parts)(*(term * share for term in parts))
            torch.autograd.backward(parts.loss)
        total, data_loss, regularization = (term.detach()[None] for term in parts)
        return Terms(data_loss, 1, regularization, correct_count(scores.detach(), targets)[None], total)

    def losses(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the data losses (1, B) and the scores (1, B, C). Dropout is off."""
        training = self.model.training
        self.model.eval()
        scores = forward(self.model, inputs[0], None, self.bf16)
        self.model.train(training)
        return self.objective.loss(scores, targets[0])[None], scores[None]

    def shrink(self, lr: Tensor) -> None:
        """Make the proximal step of the regularizer; `lr` (1, 1) holds the learning rate."""
        for name, shape in self.stack.shapes.items():
            if len(shape) >= 2:
                weight = self.stack.tensors[name][0]
                weight.copy_(self.objective.regularizer.shrink(weight, lr.item()))


class VmapGradient(Gradient):
    """The gradient of several runs by autograd and ``vmap``. It is used if a part of the runs has no formula."""

    def whole(self, batch: Batch, share: float = 1.0) -> Terms:
        """Return the terms of share·L(W), and write its gradient into the stack."""
        stack = self.stack
        parameters = {name: stack.tensors[name].detach().requires_grad_() for name in stack.shapes}

        def of_run(
            parameters: dict[str, Tensor],
            buffers: dict[str, Tensor],
            numbers: dict[str, Tensor],
            inputs: Tensor,
            targets: Tensor,
            key: Tensor | None,
            weights: Tensor | None,
        ) -> tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Tensor]]:
            buffers = {name: values.clone() for name, values in buffers.items()}  # norm layers write into their buffers
            scores = self._scores(parameters, buffers, inputs, key)
            parts = with_numbers(self.objective, numbers)(scores, targets, parameters, weights)
            return *parts, correct_count(scores.detach(), targets), buffers

        with torch.enable_grad():
            optional = batch.keys, batch.weights
            stacked_run = vmap(of_run, in_dims=(0, 0, 0, 0, 0, *(None if part is None else 0 for part in optional)))
            inputs = self.prepared(batch.inputs)
            with _batching():
                loss, data_loss, regularization, correct, buffers = stacked_run(
                    parameters, stack.buffers, self._numbers, inputs, batch.targets, *optional
                )
            loss = loss * share
            gradients = torch.autograd.grad(loss.sum(), list(parameters.values()))
        for name, values in zip(parameters, gradients, strict=True):
            stack.gradients[name].copy_(values)
        for name, values in buffers.items():
            stack.buffers[name].copy_(values)
        data_loss, regularization = data_loss.detach() * share, regularization.detach() * share
        return Terms(data_loss, 1, regularization, correct, loss.detach())

    def losses(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the data losses (R, B) and the scores (R, B, C). Dropout is off."""

        def of_run(
            parameters: dict[str, Tensor],
            buffers: dict[str, Tensor],
            numbers: dict[str, Tensor],
            inputs: Tensor,
            targets: Tensor,
        ) -> tuple[Tensor, Tensor]:
            scores = self._scores(parameters, buffers, inputs, None)
            return with_numbers(self.objective, numbers).loss(scores, targets), scores

        training = self.model.training
        self.model.eval()
        parameters = {name: self.stack.tensors[name] for name in self.stack.shapes}
        with _batching():
            result: tuple[Tensor, Tensor] = vmap(of_run)(parameters, self.stack.buffers, self._numbers, inputs, targets)
        self.model.train(training)
        return result

    def shrink(self, lr: Tensor) -> None:
        """Make the proximal step of the regularizer; `lr` (R, 1) holds the learning rate of each run."""

        def of_run(weight: Tensor, lr: Tensor, numbers: dict[str, Tensor]) -> Tensor:
            return with_numbers(self.objective, numbers).regularizer.shrink(weight, lr)

        for name, shape in self.stack.shapes.items():
            if len(shape) >= 2:
                weight = self.stack.tensors[name]
                weight.copy_(vmap(of_run)(weight, lr[:, 0].to(weight), self._numbers))

    @property
    def _numbers(self) -> dict[str, Tensor]:
        """The numbers of the objective that are tensors: one tensor (R,) for each name, (R, C) for class weights."""
        loss, regularizer = self.objective.loss, self.objective.regularizer
        named = [(name, getattr(part, name)) for part in (loss, regularizer) for name in part.numbers]
        named.append(("class_weights", loss.class_weights))
        return {name: value[:, 0] for name, value in named if isinstance(value, Tensor)}

    def _scores(
        self, parameters: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Tensor, key: Tensor | None
    ) -> Tensor:
        """Return the scores (B, C) of prepared inputs (B, …) of one run."""
        with torch.autocast(inputs.device.type, torch.bfloat16, enabled=self.bf16):
            scores: Tensor = functional_call(self.model, {**parameters, **buffers}, (inputs, key))
        return scores.to(inputs.dtype)


@contextmanager
def _batching() -> Iterator[None]:
    """Raise `NotTogether` if ``vmap`` cannot batch an operation of the model or the objective."""
    try:
        yield
    except Exception as error:
        if isinstance(error, DeeprobError) or is_out_of_memory(error):
            raise
        raise NotTogether(f"torch's vmap cannot batch an operation ({one_line(error).split('. ')[0]})") from error


def stacked(objectives: Sequence[Objective], like: Tensor) -> Objective:
    """Return one objective for several runs. Its numbers are columns (R, 1) with the device and dtype of `like`.

    Class weights get the shape (R, 1, C), with ones for runs that have no class weights. A number that is 0 in all runs
    stays a plain 0, so its term costs no time. A single run also gets columns, so its numbers are rounded in the same
    way as in a stack. If some runs have a regularizer and some have ``none``, then ``none`` becomes an elastic net of
    strength 0.
    """
    losses = [objective.loss for objective in objectives]
    regularizers = [objective.regularizer for objective in objectives]
    if len({type(regularizer) for regularizer in regularizers}) > 1:
        proximal = any(regularizer.proximal for regularizer in regularizers if isinstance(regularizer, ElasticNet))
        regularizers = [r if isinstance(r, ElasticNet) else ElasticNet(0.0, 0.0, proximal) for r in regularizers]
    numbers = {}
    for parts in (losses, regularizers):
        for name in parts[0].numbers:
            values = [getattr(part, name) for part in parts]
            if any(values):
                numbers[name] = torch.tensor(values, dtype=torch.float64).to(like)[:, None]
    given = [loss.class_weights for loss in losses if loss.class_weights is not None]
    if given:
        ones = torch.ones_like(given[0])
        rows = [ones if loss.class_weights is None else loss.class_weights for loss in losses]
        numbers["class_weights"] = torch.stack(rows).to(like)[:, None]
    return with_numbers(Objective(losses[0], regularizers[0]), numbers)


def with_numbers(objective: Objective, numbers: Mapping[str, Tensor]) -> Objective:
    """Return a copy of `objective` in which `numbers` replace the attributes with these names."""
    loss, regularizer = copy.copy(objective.loss), copy.copy(objective.regularizer)
    for part, names in ((loss, (*loss.numbers, "class_weights")), (regularizer, regularizer.numbers)):
        for name in numbers.keys() & set(names):
            setattr(part, name, numbers[name])
    return Objective(loss, regularizer)


def correct_in_stack(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the numbers (R,) of correct examples, given scores (R, B, C) and targets (R, B); see `correct_count`."""
    if targets.is_floating_point():
        return scores.new_zeros(len(scores))
    return (scores.argmax(2) == targets).sum(1, dtype=scores.dtype)
