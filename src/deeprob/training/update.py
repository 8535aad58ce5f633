"""One update of the parameters from a batch of examples."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.data import Examples
from deeprob.errors import is_out_of_memory
from deeprob.features import Features
from deeprob.objective import Objective, Parts, weights
from deeprob.tracking.console import note
from deeprob.training.metrics import correct_count
from deeprob.training.predictor import forward
from deeprob.training.state import TrainState


class Update:
    """A function that updates the parameters once, with any optimizer.

    The optimizer calls a function (closure) that computes L(W) and its gradient. Most optimizers call it once; L-BFGS
    calls it as often as its line search needs. A batch larger than `chunk_size` is split into chunks. If chunk k has
    n_k of the N examples, the loss of the whole batch is L(W) = Σ_k (n_k/N)·L_k(W). If memory runs out and `halving` is
    true, the chunk size is halved.
    """

    def __init__(
        self,
        state: TrainState,
        objective: Objective,
        features: Features,
        chunk_size: int,
        bf16: bool = False,
        halving: bool = False,
    ) -> None:
        self.state = state
        self.objective = objective
        self.features = features
        self.chunk_size = chunk_size
        self.bf16 = bf16
        self.halving = halving
        self.parameters = list(state.model.parameters())
        self.named_parameters = state.parameters

    def __call__(self, batch: Examples, key: Tensor | None) -> None:
        """Update the parameters with a batch. `key` decides the random numbers of the model in this update."""
        state = self.state
        first: tuple[Parts, Tensor, Tensor] | None = None

        def closure() -> Any:  # returns a 0-d tensor, but torch's type hints expect a float
            nonlocal first
            parts, correct = self.gradient(batch, key)
            if first is None:
                grad_norm = total_norm([p.grad for p in self.parameters if p.grad is not None])
                self.check(torch.isfinite(parts.loss + grad_norm))
                first = parts, correct, grad_norm
            return parts.loss

        state.optimizer.step(closure)
        self.proximal_step()
        assert first is not None, "the optimizer never called its closure"
        state.meters.add(*first, state.frozen, len(batch))

    @torch.no_grad()
    def proximal_step(self) -> None:
        """Apply the proximal step of the regularizer to the weight matrices, if it has such a step."""
        lr = self.state.optimizer.param_groups[0]["lr"]
        for weight in weights(self.named_parameters).values():
            shrunk = self.objective.regularizer.shrink(weight, lr)
            if shrunk is not weight:
                weight.copy_(shrunk)

    def check(self, finite: Tensor) -> None:
        """Set `frozen` in the state to 1 if `finite` (0-d, boolean) is False. Do not wait for the device."""
        self.state.frozen.copy_(torch.maximum(self.state.frozen, (~finite).to(self.state.frozen.dtype)))

    def first_not_finite(self, batch: Examples, key: Tensor | None) -> str:
        """Return the name of the first quantity that becomes NaN or infinite in an update of the current parameters.

        Examples: ``input``, ``data loss``, ``gradient of layers.0.weight``.
        """
        if batch.inputs.is_floating_point() and not batch.inputs.isfinite().all():
            return "input"
        buffers = {name: buffer.clone() for name, buffer in self.state.model.named_buffers()}
        parts, _ = self.gradient(batch, key)
        self.state.evaluations -= 1
        self.state.model.load_state_dict(buffers, strict=False)
        for name, term in (("data loss", parts.data_loss), ("regularization", parts.regularization)):
            if not torch.isfinite(term):
                return name
        for name, parameter in self.named_parameters.items():
            if parameter.grad is not None and not parameter.grad.isfinite().all():
                return f"gradient of {name}"
        return "updated parameters"

    def gradient(self, batch: Examples, key: Tensor | None) -> tuple[Parts, Tensor]:
        """Compute L(W) of a batch, and store its gradient in the parameters.

        Returns
        -------
        Parts, Tensor
            L(W) and its terms, detached, and the number of correct examples.
        """
        self.state.evaluations += 1
        while True:
            try:
                return self._gradient(batch, key)
            except Exception as error:
                chunk = min(self.chunk_size, len(batch))
                if not self.halving or chunk == 1 or not is_out_of_memory(error):
                    raise
            self.chunk_size = chunk // 2
            if batch.targets.is_cuda:
                torch.cuda.empty_cache()
            note(f"not enough memory for {chunk} examples at once; continuing with trainer.chunk_size={chunk // 2}")

    @torch.enable_grad()
    def _gradient(self, batch: Examples, key: Tensor | None) -> tuple[Parts, Tensor]:
        self.state.optimizer.zero_grad()
        if len(batch) <= self.chunk_size:
            return self._chunk(batch, key, share=1.0)
        chunks = [
            self._chunk(
                chunk := batch[start : start + self.chunk_size],
                None if key is None else randomness.fold(key, start),
                share=len(chunk) / len(batch),
            )
            for start in range(0, len(batch), self.chunk_size)
        ]
        parts = Parts(*(torch.stack(terms).sum() for terms in zip(*(parts for parts, _ in chunks), strict=True)))
        return parts, torch.stack([correct for _, correct in chunks]).sum()

    def _chunk(self, chunk: Examples, key: Tensor | None, share: float) -> tuple[Parts, Tensor]:
        scores = forward(self.state.model, self.features, chunk.inputs, key, self.bf16)
        parts = self.objective(scores, chunk.targets, self.named_parameters)
        if share != 1.0:
            parts = Parts(*(term * share for term in parts))
        torch.autograd.backward(parts.loss)
        return Parts(*(term.detach() for term in parts)), correct_count(scores.detach(), chunk.targets)


@torch.no_grad()
def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Return the Euclidean norm (0-d) of all numbers in several tensors."""
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(list(tensors))))
    return norm
