import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from deeprob.config import options
from deeprob.objective import (
    ClassLossConfig,
    CrossEntropyConfig,
    FocalConfig,
    HingeConfig,
    HuberConfig,
    LossConfig,
    OneVsAllHingeConfig,
    SquaredErrorConfig,
    SquaredHingeConfig,
)
from deeprob.objective.losses import FEW_CLASSES, CrossEntropy, Focal, log_softmax

loss = CrossEntropyConfig().build()

CHANGES = {
    CrossEntropyConfig: ({}, {"label_smoothing": 0.2}),
    FocalConfig: ({}, {"gamma": 0.0}, {"gamma": 0.5}),
    HuberConfig: ({}, {"delta": 0.3}),
}


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


# ---------------------------------------------------------------- focal


def test_focal_by_hand():
    # probabilities ¼ and ¾: −(¾)² ln ¼ and −(¼)² ln ¾
    scores = torch.tensor([[math.log(2), math.log(6)]] * 2)
    expected = [9 / 16 * math.log(4), 1 / 16 * math.log(4 / 3)]
    np.testing.assert_allclose(FocalConfig().build()(scores, torch.tensor([0, 1])), expected, rtol=1e-6)


def test_equal_scores_of_the_focal_loss():
    losses = FocalConfig(gamma=3.0).build()(torch.full((1, 5), 7.0), torch.tensor([2]))
    np.testing.assert_allclose(losses, [(4 / 5) ** 3 * math.log(5)], rtol=1e-6)


@pytest.mark.parametrize("gamma", [0, torch.zeros((), dtype=torch.float64)])
def test_with_gamma_0_it_is_cross_entropy(gamma):
    scores = 20 * torch.randn(200, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.arange(200) % 6
    for mine, expected in zip(
        Focal(gamma).with_slopes(scores, targets), loss.with_slopes(scores, targets), strict=True
    ):
        torch.testing.assert_close(mine, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(Focal(gamma)(scores, targets), loss(scores, targets), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 100.0])
def test_extreme_scores_of_the_focal_loss(gamma, dtype):
    # q = 1 − p_y is e^−30, then too small for float32, then too small for any float; then p_y is
    gaps = torch.tensor([30.0, 100.0, 5000.0, -100.0, -5000.0], dtype=dtype)
    scores = torch.stack([gaps, torch.zeros_like(gaps)], 1).requires_grad_()
    targets = torch.zeros(5, dtype=torch.int64)
    focal = FocalConfig(gamma=gamma).build()
    losses, slopes = focal.with_slopes(scores.detach(), targets)
    q = math.exp(-30)
    expected = [q ** (gamma + 1), math.exp(-100) if gamma == 0 and dtype == torch.float64 else 0, 0, 100, 5000]
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-37)
    # near q = 0 the derivative by s_y is −(1 + γ)·q^(γ + 1), near p_y = 0 it is −1
    expected = [-(1 + gamma) * q ** (gamma + 1), -math.exp(-100) if gamma == 0 and dtype == torch.float64 else 0, 0]
    np.testing.assert_allclose(slopes[:, 0], [*expected, -1, -1], rtol=1e-5, atol=1e-37)
    np.testing.assert_allclose(slopes[:, 1], [*(-x for x in expected), 1, 1], rtol=1e-5, atol=1e-37)
    focal(scores, targets).sum().backward()
    np.testing.assert_allclose(scores.grad, slopes, rtol=1e-5, atol=1e-37)


# ---------------------------------------------------------------- huber


def test_huber_by_hand():
    # errors ½, −3 and 1 with δ = 1: ⅛, 1·(3 − ½) and ½
    huber = HuberConfig().build()
    assert huber(torch.tensor([[1.5, -1.0, 4.0]]), torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [0.125 + 2.5 + 0.5]
    assert huber(torch.tensor([[3.0, 0.5]]), torch.tensor([1])).tolist() == [2.5 + 0.125]


@pytest.mark.parametrize("delta", [0.2, 1.0, 3.0])
def test_huber_agrees_with_torch(delta):
    rng = torch.Generator().manual_seed(0)
    scores, targets = (2 * torch.randn(20, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    expected = torch.nn.functional.huber_loss(scores, targets, reduction="none", delta=delta).sum(1)
    torch.testing.assert_close(HuberConfig(delta=delta).build()(scores, targets), expected)


def test_small_errors_cost_half_of_the_squared_error():
    scores = torch.tensor([[0.5, -0.25]])
    targets = torch.zeros(1, 2)
    half = SquaredErrorConfig().build()(scores, targets) / 2
    assert HuberConfig().build()(scores, targets).tolist() == half.tolist()


# ---------------------------------------------------------------- all losses

ALL = [cls(**words) for cls in options("loss").values() for words in CHANGES.get(cls, ({},))]


@pytest.mark.parametrize("config", ALL, ids=str)
@pytest.mark.parametrize("weights", ["none", [1.0, 4.0, 0.25]], ids=str)
def test_slopes_are_the_derivatives_by_autograd(config, weights):
    if weights != "none":
        if not hasattr(config, "class_weights"):
            return
        config = dataclasses.replace(config, class_weights=weights)
    targets = torch.arange(30) % 3
    losses = config.build(torch.bincount(targets))
    scores = 3 * torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    leaf = scores.clone().requires_grad_()
    values = losses(leaf, targets)
    values.sum().backward()
    mine, slopes = losses.with_slopes(scores, targets)
    torch.testing.assert_close(mine, values.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(slopes, leaf.grad, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("config", [c for c in ALL if isinstance(c, ClassLossConfig)], ids=str)
def test_the_loss_of_an_example_is_multiplied_by_the_weight_of_its_class(config):
    # 1·3, 3·1 and 2·2 add up to 10, and 6 examples to 6: weights are scaled by 6/10
    targets = torch.tensor([0, 2, 0, 1, 0, 2])
    weighted = dataclasses.replace(config, class_weights=[1, 3, 2]).build(torch.bincount(targets))
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    plain = config.build()
    factors = torch.tensor([0.6, 1.2, 0.6, 1.8, 0.6, 1.2])
    torch.testing.assert_close(weighted(scores, targets), factors * plain(scores, targets))
    losses, slopes = weighted.with_slopes(scores, targets)
    torch.testing.assert_close(losses, factors * plain(scores, targets))
    torch.testing.assert_close(slopes, factors[:, None] * plain.with_slopes(scores, targets)[1])


def test_balanced_weights_of_cross_entropy_agree_with_scikit_learn():
    targets = torch.tensor([0, 0, 0, 0, 0, 1, 1, 2])
    scores = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weighted = CrossEntropyConfig(class_weights="balanced").build(torch.bincount(targets))
    expected = log_loss(
        targets.numpy(), scores.softmax(1).numpy(), sample_weight=compute_sample_weight("balanced", targets.numpy())
    )
    assert weighted(scores, targets).mean().item() == pytest.approx(expected, rel=1e-12)


def test_without_counts_a_loss_has_no_weights():
    assert CrossEntropyConfig(class_weights="balanced").build().class_weights is None


def test_losses_for_numbers_as_targets():
    assert [name for name, cls in options("loss").items() if cls().regression] == ["squared_error", "huber"]


def test_only_likelihoods_estimate_probabilities():
    with_probabilities = {name for name, config in options("loss").items() if config().build().probabilities}
    assert with_probabilities == {"cross_entropy", "focal"}


def test_a_loss_may_be_one_formula():
    @dataclass(kw_only=True, slots=True)
    class CubicConfig(LossConfig):
        scale: float = 2.0

        def losses(self, scores, targets):
            return self.scale * (scores - targets).abs().pow(3).sum(1)

    built = CubicConfig(scale=3.0).build()
    scores, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, 1.0]])
    assert built(scores, targets).tolist() == [3 * (1 + 8), 3]
    assert (built.has_formula, built.numbers) == (False, ())


@pytest.mark.parametrize("classes", [1, 2, 3, 10, FEW_CLASSES - 1, FEW_CLASSES])
def test_log_softmax_is_that_of_torch_and_the_same_at_every_place(classes):
    scores = 30 * torch.randn(7, 11, classes, generator=torch.Generator().manual_seed(classes))
    scores[0, 0], scores[0, 1, 0] = 1e4, -1e30
    found = log_softmax(scores)
    torch.testing.assert_close(found.double(), scores.double().log_softmax(-1), rtol=1e-6, atol=1e-6)
    assert torch.equal(found[3:4], log_softmax(scores[3:4]))
    assert torch.equal(found[:, 5:6], log_softmax(scores[:, 5:6].contiguous()))
