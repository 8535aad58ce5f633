import math

import numpy as np
import pytest
import torch

from deeprob.errors import UserError
from deeprob.objective import CrossEntropyConfig, L2Config, Loss, NoneConfig, Objective
from deeprob.objective.objective import weights

SCORES = torch.zeros(4, 2)
TARGETS = torch.tensor([0, 1, 1, 0])
PARAMETERS = {
    "a.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
    "a.bias": torch.tensor([100.0, 100.0]),
    "b.weight": torch.tensor([[0.5]]),
}


def objective(strength: float | None) -> Objective:
    regularizer = NoneConfig() if strength is None else L2Config(strength=strength)
    return Objective(CrossEntropyConfig().build(), regularizer.build())


def test_weights_are_what_has_two_dimensions_or_more():
    shapes = {"w": (2, 3), "b": (2,), "kernel": (1, 1, 2, 2), "scale": ()}
    assert list(weights({name: torch.zeros(shape) for name, shape in shapes.items()})) == ["w", "kernel"]


def test_the_loss_is_data_loss_plus_regularization():
    parts = objective(0.1)(SCORES, TARGETS, PARAMETERS)
    assert parts.data_loss.item() == pytest.approx(math.log(2))
    assert parts.regularization.item() == pytest.approx(0.1 * (1 + 4 + 9 + 16 + 0.25))
    assert parts.loss.item() == pytest.approx(math.log(2) + 3.025)


def test_the_data_loss_is_the_mean_over_the_batch():
    # probabilities of the target: ½ and ¼
    scores = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])
    parts = objective(None)(scores, torch.tensor([0, 1]), PARAMETERS)
    assert parts.data_loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_without_a_regularizer_the_loss_is_the_data_loss():
    parts = objective(None)(SCORES, TARGETS, PARAMETERS)
    assert parts.loss.item() == parts.data_loss.item() == pytest.approx(math.log(2))
    assert parts.regularization.item() == 0
    assert parts.regularization.shape == ()


def test_every_part_is_one_number_of_the_scores_type():
    for part in objective(0.1)(SCORES.double(), TARGETS, {"w": torch.ones(1, 1).double()}):
        assert (part.shape, part.dtype) == ((), torch.float64)


def gradients(strength: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of a linear classifier's weights and biases."""
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.normal(size=(3, 4))).requires_grad_()
    bias = torch.from_numpy(rng.normal(size=3)).requires_grad_()
    x, y = torch.from_numpy(rng.normal(size=(6, 4))), torch.tensor([0, 1, 2, 0, 1, 2])
    objective(strength)(x @ weight.T + bias, y, {"weight": weight, "bias": bias}).loss.backward()
    return weight.grad.numpy() - (2 * (strength or 0)) * weight.detach().numpy(), bias.grad.numpy()


def test_regularization_adds_2_strength_w_to_weights_and_nothing_to_biases():
    (weight, bias), (regularized_weight, regularized_bias) = gradients(None), gradients(0.7)
    np.testing.assert_allclose(regularized_weight, weight, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(regularized_bias, bias)


def test_a_stack_of_runs_costs_what_each_run_costs_alone():
    stack = torch.randn(5, 4, 2, generator=torch.Generator().manual_seed(0))
    cost = objective(0.1)
    together = torch.vmap(lambda scores, w: cost(scores, TARGETS, {"w": w}).loss)(stack, stack)
    alone = [cost(scores, TARGETS, {"w": scores}).loss for scores in stack]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("shape", [(), (4, 2), (3,)], ids=str)
def test_a_loss_of_another_shape_is_one_line(shape):
    class Odd(Loss):
        def losses(self, scores, targets):
            return torch.zeros(shape)

    with pytest.raises(UserError) as caught:
        Objective(Odd(), NoneConfig().build())(SCORES, TARGETS, PARAMETERS)
    line = f"loss: losses() returned the shape {shape} for scores (4, 2); expected one loss per example, (4,)"
    assert str(caught.value) == line
