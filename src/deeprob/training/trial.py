"""Checks of a model before training: its gradient norm, and whether it can overfit a few examples."""

import copy

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.objective import Loss, NoneConfig, Objective
from deeprob.optim import LBFGSConfig, Schedule
from deeprob.training.state import TrainState
from deeprob.training.update import Update, total_norm

STEPS = 200
"""The number of L-BFGS iterations in which a model must overfit a few examples."""


def gradient_norm(state: TrainState, objective: Objective, features: Features, examples: Examples) -> float:
    """Return the norm of the gradient of L(W) on some extracted examples. The state does not change."""
    update = Update(copy.deepcopy(state), objective, features, len(examples))
    update.gradient(examples, None)
    return total_norm([p.grad for p in update.parameters if p.grad is not None]).item()


def overfit(state: TrainState, loss: Loss, features: Features, examples: Examples) -> tuple[float, float]:
    """Train a copy of a model on a few extracted examples. Return the data loss before and after training."""
    model = copy.deepcopy(state.model)
    optimizer = LBFGSConfig(max_iter=STEPS).build(model.parameters())
    trial = TrainState.start(model, optimizer, Schedule(), examples.targets.device)
    update = Update(trial, Objective(loss, NoneConfig().build()), features, len(examples))
    before = update.gradient(examples, None)[0].data_loss.item()
    update(examples, None)
    return before, update.gradient(examples, None)[0].data_loss.item()
