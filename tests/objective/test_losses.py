import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from deeprob.objective import CrossEntropyConfig

loss = CrossEntropyConfig().build()


@pytest.mark.parametrize(("classes", "expected"), [(2, 0.693147), (3, 1.098612), (10, 2.302585)])
@pytest.mark.parametrize("score", [0.0, -3.0, 1000.0])
def test_equal_scores_cost_the_logarithm_of_the_number_of_classes(classes, expected, score):
    losses = loss(torch.full((4, classes), score), torch.tensor([0, 1, 0, 1]))
    np.testing.assert_allclose(losses, [expected] * 4, atol=1e-6)


def test_by_hand():
    # e^ln 2 = 2 and e^ln 6 = 6: probabilities ¼ and ¾
    scores = torch.tensor([[math.log(2), math.log(6)]] * 2)
    np.testing.assert_allclose(loss(scores, torch.tensor([0, 1])), [math.log(4), math.log(4 / 3)], rtol=1e-6)


def test_random_scores_agree_with_numpy():
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(scale=5, size=(50, 7)), rng.integers(0, 7, 50)
    expected = logsumexp(scores, axis=1) - scores[np.arange(50), targets]
    losses = loss(torch.from_numpy(scores), torch.from_numpy(targets))
    np.testing.assert_allclose(losses, expected, rtol=1e-10)


def test_large_scores_do_not_overflow():
    scores = torch.tensor([[1000.0, 0.0], [1000.0, 0.0]])
    assert loss(scores, torch.tensor([0, 1])).tolist() == [0, 1000]


def test_the_gradient_is_the_softmax_minus_one_at_the_target():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(6, 4))
    targets = np.array([0, 1, 2, 3, 0, 1])
    scores = torch.from_numpy(numbers).requires_grad_()
    loss(scores, torch.from_numpy(targets)).sum().backward()
    softmax = np.exp(numbers) / np.exp(numbers).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scores.grad, softmax - np.eye(4)[targets], atol=1e-12)
