"""Measure how well a linear classifier separates the classes, given the outputs of a layer."""

import torch
from torch import Tensor

from deeprob import randomness
from deeprob.data import Examples
from deeprob.models import LinearConfig
from deeprob.objective import CrossEntropyConfig
from deeprob.optim.minimize import minimize
from deeprob.tracking.device import threads


def separability(train: Examples, test: Examples, iterations: int = 500, limit: int = 10_000) -> float:
    """Fit a linear classifier to the training examples, and return its accuracy on the test examples.

    The classifier is softmax regression on standardised inputs, fitted by L-BFGS. A small L2 term (1e-6) ensures that a
    minimum exists. If the training set is larger than `limit`, a random sample of `limit` examples is used.

    Parameters
    ----------
    train, test
        Inputs (N, D), such as the activations of a hidden layer, and class numbers (N,).
    """
    if len(train) > limit:
        train = train[randomness.permutation(randomness.key(0, "separability"), len(train))[:limit]]
    inputs = train.inputs.double().flatten(1)
    mean, deviation = inputs.mean(0), inputs.std(0, correction=int(len(inputs) > 1))
    deviation = torch.where(deviation > 1e-9, deviation, 1.0)
    inputs = (inputs - mean) / deviation
    outputs = int(max(train.targets.max(), test.targets.max())) + 1
    model = LinearConfig().build(inputs.shape[1], outputs, randomness.generator(0, "separability")).double()
    cross_entropy = CrossEntropyConfig().build()

    def loss() -> Tensor:
        return cross_entropy(model(inputs), train.targets).mean() + 1e-6 * model.layer.weight.square().sum()

    with threads(1):
        minimize(loss, model.parameters(), iterations)
    with torch.no_grad():
        scores: Tensor = model((test.inputs.double().flatten(1) - mean) / deviation)
    return (scores.argmax(1) == test.targets).double().mean().item()
