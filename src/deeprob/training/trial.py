"""Checks of a model before training: its gradient norm, and whether it can overfit a few examples."""

import copy

import torch

from deeprob.data import Examples
from deeprob.features import Features
from deeprob.models import Model
from deeprob.objective import Loss, NoneConfig, Objective
from deeprob.optim import LBFGSConfig, Schedule
from deeprob.training.draws import Draws
from deeprob.training.learner import Learner, LoopSettings
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


def trial(
    model: Model, objective: Objective, features: Features, examples: Examples, formulas: bool
) -> tuple[Update, Draws]:
    """Return an L-BFGS update of a model, and the batches for it. Each batch holds all examples; dropout is off."""
    config = LBFGSConfig(max_iter=STEPS)
    state = TrainState.start(model, config.build(model.parameters()), Schedule(), examples.targets.device)
    settings = LoopSettings(
        epochs=1, batch_size=len(examples), chunk_size=len(examples), log_every=1, formulas=formulas
    )
    update = Update.of([Learner(state, objective, config, 0)], features, settings)
    return update, Draws(examples, len(examples), [0])
