import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from deeprob.config import options
from deeprob.objective import (
    CrossEntropyConfig,
    HingeConfig,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
)
from deeprob.objective.losses import CrossEntropy

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


def test_without_a_word_nothing_is_smoothed():
    scores = torch.tensor([[math.log(2), math.log(6)]])
    np.testing.assert_allclose(CrossEntropy()(scores, torch.tensor([0])), [math.log(4)], rtol=1e-6)


def test_label_smoothing_by_hand():
    # probabilities ¼ and ¾, target 0, ε = 0.2: −0.9 ln ¼ − 0.1 ln ¾
    scores = torch.tensor([[math.log(2), math.log(6)]])
    smooth = CrossEntropyConfig(label_smoothing=0.2).build()
    np.testing.assert_allclose(
        smooth(scores, torch.tensor([0])), [0.9 * math.log(4) + 0.1 * math.log(4 / 3)], rtol=1e-6
    )


def test_a_stack_of_runs_may_have_a_smoothing_each():
    # target 1 of three classes with probabilities ⅙, ⅓, ½
    scores, target = torch.tensor([[1.0, 2.0, 3.0]]).log(), torch.tensor([1])
    losses = torch.vmap(lambda smoothing: CrossEntropy(smoothing)(scores, target))(torch.tensor([0.0, 0.2]))
    mean = (math.log(6) + math.log(3) + math.log(2)) / 3
    np.testing.assert_allclose(losses, [[math.log(3)], [0.8 * math.log(3) + 0.2 * mean]], rtol=1e-6)


# The CS231n example: scores of a cat, a car and a frog.
SCORES = torch.tensor([[3.2, 5.1, -1.7], [1.3, 4.9, 2.0], [2.2, 2.5, -3.1]])
TARGETS = torch.tensor([0, 1, 2])


def test_hinge_by_hand():
    # max(0, 5.1 − 3.2 + 1) + max(0, −1.7 − 3.2 + 1) = 2.9; 0 + 0; 6.3 + 6.6 = 12.9
    np.testing.assert_allclose(HingeConfig().build()(SCORES, TARGETS), [2.9, 0, 12.9], rtol=1e-6, atol=1e-6)


def test_squared_hinge_by_hand():
    expected = [2.9**2, 0, 6.3**2 + 6.6**2]
    np.testing.assert_allclose(SquaredHingeConfig().build()(SCORES, TARGETS), expected, rtol=1e-5, atol=1e-6)


def test_the_margin():
    # 5.1 − 3.2 + 0.5 = 2.4 and −1.7 − 3.2 + 0.5 < 0
    losses = HingeConfig(margin=0.5).build()(SCORES[:1], TARGETS[:1])
    np.testing.assert_allclose(losses, [2.4], rtol=1e-6)


@pytest.mark.parametrize("config", [HingeConfig(), SquaredHingeConfig()])
def test_hinge_agrees_with_torch(config):
    scores = torch.randn(20, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.arange(20) % 5
    power = 2 if isinstance(config, SquaredHingeConfig) else 1
    expected = 5 * torch.nn.functional.multi_margin_loss(scores, targets, p=power, reduction="none")
    torch.testing.assert_close(config.build()(scores, targets), expected)


def test_one_vs_all_hinge_by_hand():
    # right class 3.2: 0; others 5.1 → 6.1 and −1.7 → 0
    np.testing.assert_allclose(OneVsAllHingeConfig().build()(SCORES[:1], TARGETS[:1]), [6.1], rtol=1e-6)


def test_one_vs_all_hinge_within_its_margins():
    scores = torch.tensor([[0.5, -0.25, 2.0]])  # of the right class 1 − ½; of the others 1 − ¼ and 1 + 2
    assert OneVsAllHingeConfig().build()(scores, torch.tensor([0])).tolist() == [0.5 + 0.75 + 3.0]


def test_squared_error_of_one_hot_codes_and_of_numbers():
    scores = torch.tensor([[0.5, 2.0]])
    squared = SquaredErrorConfig().build()
    assert squared(scores, torch.tensor([1])).tolist() == [0.25 + 1.0]
    assert squared(scores, torch.tensor([[1.0, 0.0]])).tolist() == [0.25 + 4.0]


def test_numbers_as_targets_are_for_the_squared_error_alone():
    assert [name for name, cls in options("loss").items() if cls().regression] == ["squared_error"]
