import numpy as np
import pytest
import torch

from deeprob.objective import L2Config, NoneConfig
from deeprob.objective.regularizers import L2

W1 = torch.tensor([[1.0, 0, 0, 0]])
W2 = torch.tensor([[0.25, 0.25, 0.25, 0.25]])


@pytest.mark.parametrize(("weight", "expected"), [(W1, 1), (W2, 0.25)])
def test_the_lectures_weights(weight, expected):
    # 1² + 0 + 0 + 0 = 1; 4·(¼)² = ¼, though both score x = [1, 1, 1, 1] the same
    assert L2Config(strength=1.0).build()([weight]) == expected


def test_several_matrices_add_up_and_strength_scales():
    weights = [torch.tensor([[1.0, -2.0], [3.0, -4.0]]), torch.tensor([[5.0]])]
    assert L2Config(strength=0.5).build()(weights) == 0.5 * (1 + 4 + 9 + 16 + 25)


def test_strength_0_costs_nothing():
    assert L2Config(strength=0.0).build()([W1]) == 0


@pytest.mark.parametrize("strength", [0.1, 2.0])
def test_the_gradient_is_2_strength_w(strength):
    weight = torch.tensor([[1.0, -2.0], [0.0, 0.5]], requires_grad=True)
    L2Config(strength=strength).build()([weight]).backward()
    np.testing.assert_allclose(weight.grad, 2 * strength * np.array([[1, -2], [0, 0.5]]), rtol=1e-6)


def test_a_stack_of_runs_may_have_a_strength_each():
    strengths = torch.tensor([0.0, 1.0, 3.0])
    assert torch.vmap(lambda strength: L2(strength)([W1, W2]))(strengths).tolist() == [0, 1.25, 3.75]


def test_none_says_that_there_is_no_regularization():
    assert NoneConfig().build()([W1]) is None
