"""The gradient of a run at its initial weights, in float64: the loss as a function of W, and ∇L(W) by formulas."""

import dataclasses

import torch
from torch import Tensor
from torch.func import functional_call

from deeprob.analysis.gradients.differences import Loss, Parameters
from deeprob.assembly.config import RunConfig
from deeprob.assembly.setup import Setup
from deeprob.models import Model
from deeprob.models.norms import BatchNorm
from deeprob.objective import Objective
from deeprob.objective.regularizers import ElasticNet
from deeprob.tracking.console import note
from deeprob.training.draws import Batch, Draws
from deeprob.training.gradient import FormulaGradient, stacked
from deeprob.training.stack import Stack


def in_float64(config: RunConfig, examples: int) -> Setup:
    """Return the setup of a run that computes in float64 on the CPU and has `examples` examples per batch."""
    config = config.resolved()
    trainer = dataclasses.replace(config.trainer, device="cpu", precision="float64", batch_size=examples)
    return Setup.build(dataclasses.replace(config, trainer=trainer))


def first_batch(setup: Setup) -> Batch:
    """Return the batch of a run's first update. Its inputs are prepared for the model."""
    settings, noisy = setup.settings, setup.predictor.model.noisy
    seeds = [setup.config.seed]
    batch = Draws(setup.splits.train, settings.batch_size, seeds, noisy=noisy, augment=settings.augment)[0]
    return batch._replace(inputs=setup.predictor.features(batch.inputs[0])[None])


def loss_over(batch: Batch, setup: Setup, objective: Objective) -> Loss:
    """Return the loss L(W) over a batch as a function of the parameters W.

    All calls of the function use the same dropout mask.
    """
    model = without_running_means(setup.predictor.model)
    inputs, targets = batch.inputs[0], batch.targets[0]
    dropout = None if batch.keys is None else batch.keys[0]

    def loss(parameters: Parameters) -> Tensor:
        scores = functional_call(model, dict(parameters), (inputs, dropout), tie_weights=False)
        return objective(scores, targets, parameters).loss

    return loss


class ByFormulas:
    """A function that computes the gradient ∇L(W) over a batch with the formulas that training uses.

    A call overwrites the parameters of the setup's model.
    """

    def __init__(self, batch: Batch, setup: Setup) -> None:
        self._batch = batch
        self._stack = Stack([setup.state], [setup.config.optimizer], rule=False)
        self._buffers = {name: values.clone() for name, values in self._stack.buffers.items()}
        objective = stacked([setup.objective], self._stack.parameters)
        self._gradient = FormulaGradient(
            self._stack, objective, setup.predictor.model, None, chunk_size=batch.targets.shape[1]
        )

    def __call__(self, parameters: Parameters) -> dict[str, Tensor]:
        """Return the gradient at `parameters`, as a dictionary from the name of each parameter."""
        for name, values in parameters.items():
            self._stack.tensors[name][0].copy_(values)
        for name, values in self._buffers.items():  # the previous call changed the running means of batch norm
            self._stack.buffers[name].copy_(values)
        self.evaluate()
        return {name: self._stack.gradients[name][0].clone() for name in parameters}

    @torch.no_grad()
    def evaluate(self) -> None:
        """Compute the gradient again, at the parameters of the last call."""
        self._gradient.whole(self._batch)


def without_running_means(model: Model) -> Model:
    """Turn off the running statistics of batch norm, so that the loss does not depend on earlier calls."""
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.track_running_stats = False
    return model


def differentiable(objective: Objective) -> Objective:
    """Return the objective. If a proximal step handles its L1 term, leave this term out."""
    regularizer = objective.regularizer
    if isinstance(regularizer, ElasticNet) and regularizer.proximal:
        note("regularizer.proximal=true: λ₁Σ|W| is left out, because a proximal step handles it, not the gradient")
        return Objective(objective.loss, ElasticNet(0.0, regularizer.l2))
    return objective
