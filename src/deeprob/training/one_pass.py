"""One pass over new examples with a run that goes on from its weights and its optimizer's state."""

import math

import torch

from deeprob.data import Examples
from deeprob.errors import Diverged
from deeprob.features import Features
from deeprob.training.draws import Draws
from deeprob.training.learner import Learner, LoopSettings
from deeprob.training.update import Update


@torch.no_grad()
def one_pass(
    learner: Learner, features: Features, examples: Examples, settings: LoopSettings, number: int
) -> dict[str, float]:
    """Train a run on each of the examples once.

    Parameters
    ----------
    learner
        The run. Its state goes on; its schedule has no effect, because the number of passes is not known.
    features
        The module that prepares a batch for the model.
    examples
        The extracted examples. Their number may differ from pass to pass.
    settings
        The settings of the loop.
    number
        The number of passes so far. It decides the order of the examples.

    Returns
    -------
    dict
        The means over the pass, by TensorBoard tag, such as ``train/loss``.

    Raises
    ------
    Diverged
        If a number is not finite afterwards.
    """
    state = learner.state
    update = Update.of([learner], features, settings)
    draws = Draws(examples, settings.batch_size, [learner.seed], noisy=state.model.noisy)
    for batch in range(draws.per_epoch):
        update.plan(state.step, state.step + 1)
        update(draws[number * draws.per_epoch + batch], state.step)
        state.step += 1
    update.stack.steps.fill_(state.step)
    state.evaluations += update.gradient.evaluations
    state.meters.count(len(examples), draws.per_epoch)
    state.meters.read()
    means = state.meters.read_epoch()
    if not math.isfinite(means["train/loss"]) or not torch.linalg.vector_norm(update.stack.parameters).isfinite():
        raise Diverged("loss", state.step)
    return means
