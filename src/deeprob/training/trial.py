"""Checks before training: a model's gradient norm, whether it overfits a few examples, and whether runs can stack."""

import copy
from dataclasses import replace

import torch

from deeprob.config import name_of
from deeprob.data import Examples
from deeprob.features import Features
from deeprob.models import Model
from deeprob.objective import Loss, NoneConfig, Objective
from deeprob.optim import LBFGSConfig, Schedule
from deeprob.training.draws import Draws
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.stack import NotTogether
from deeprob.training.state import TrainState
from deeprob.training.update import Update

STEPS = 200
"""The number of L-BFGS iterations in which a model must overfit a few examples."""


@torch.no_grad()
def gradient_norm(model: Model, objective: Objective, features: Features, examples: Examples, formulas: bool) -> float:
    """Return the norm of ∇L(W) over extracted examples. The model does not change."""
    update, draws = trial(copy.deepcopy(model), objective, features, examples, formulas)
    update.gradient(draws[0])
    norm: float = torch.linalg.vector_norm(update.stack.gradient).item()
    return norm


@torch.no_grad()
def overfit(model: Model, loss: Loss, features: Features, examples: Examples, formulas: bool) -> tuple[float, float]:
    """Train a copy of a model on extracted examples. Return the data loss before and after training."""
    objective = Objective(loss, NoneConfig().build())
    update, draws = trial(copy.deepcopy(model), objective, features, examples, formulas)
    before = update.gradient(draws[0]).data_loss.item()
    update(draws[0], 0)
    return before, update.gradient(draws[0]).data_loss.item()


@torch.no_grad()
def hindrance_of_stack(learner: Learner, features: Features, examples: Examples, formulas: bool) -> str:
    """Return why runs such as this one cannot train in a stack; empty if they can. The run does not change.

    Two copies of the run make an update together.
    """
    device, settings = examples.targets.device, _settings(len(examples), formulas)
    copies = []
    for model in (copy.deepcopy(learner.state.model) for _ in range(2)):
        state = TrainState.start(model, learner.optimizer.build(model.parameters()), Schedule(), device)
        copies.append(replace(learner, state=state))
    if hasattr(copies[0].state.optimizer, "finished"):
        return f"optimizer={name_of(learner.optimizer)} decides when a run ends"
    noisy = learner.state.model.noisy
    batch = Draws(examples, len(examples), [0, 1], noisy=noisy)[0]
    update = Update.of(copies, features, settings)
    try:
        update.plan(0, 1)
        update(batch, 0)
        update.gradient.losses(update.gradient.prepared(batch.inputs), batch.targets)
    except NotTogether as reason:
        return str(reason)
    return ""


def trial(
    model: Model, objective: Objective, features: Features, examples: Examples, formulas: bool
) -> tuple[Update, Draws]:
    """Return an L-BFGS update of a model, and the batches for it. Each batch holds all examples; dropout is off."""
    config = LBFGSConfig(max_iter=STEPS)
    state = TrainState.start(model, config.build(model.parameters()), Schedule(), examples.targets.device)
    update = Update.of([Learner(state, objective, config, 0)], features, _settings(len(examples), formulas))
    return update, Draws(examples, len(examples), [0])


def _settings(count: int, formulas: bool) -> LoopSettings:
    return LoopSettings(epochs=1, batch_size=count, chunk_size=count, log_every=1, formulas=formulas)
