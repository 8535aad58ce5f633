"""A trial of a model before it trains: the norm of its gradient, and whether it can learn a few examples by heart."""

import copy

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.objective import Loss, NoneConfig, Objective
from deeprob.optim import LBFGSConfig, Schedule
from deeprob.training.state import TrainState
from deeprob.training.update import Update, total_norm

STEPS = 200
"""Of L-BFGS, after which a few examples must be known by heart."""


def gradient_norm(state: TrainState, objective: Objective, features: Features, examples: Examples) -> float:
    """Return the norm of ∇L(W) over some extracted examples; the state stays as it is."""
    update = Update(copy.deepcopy(state), objective, features, len(examples))
    update.gradient(examples, None)
    return total_norm([p.grad for p in update.parameters if p.grad is not None]).item()


def overfit(state: TrainState, loss: Loss, features: Features, examples: Examples) -> tuple[float, float]:
    """Train a copy of a model on a few extracted examples; return its data loss before and after."""
    model = copy.deepcopy(state.model)
    optimizer = LBFGSConfig(max_iter=STEPS).build(model.parameters())
    trial = TrainState.start(model, optimizer, Schedule(), examples.targets.device)
    update = Update(trial, Objective(loss, NoneConfig().build()), features, len(examples))
    before = update.gradient(examples, None)[0].data_loss.item()
    update(examples, None)
    return before, update.gradient(examples, None)[0].data_loss.item()
