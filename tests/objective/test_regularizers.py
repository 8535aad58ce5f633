from dataclasses import dataclass

import numpy as np
import pytest
import torch

from deeprob.config import options
from deeprob.objective import ElasticNetConfig, L1Config, L2Config, NoneConfig, RegularizerConfig
from deeprob.objective.regularizers import ElasticNet

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
    assert torch.vmap(lambda strength: ElasticNet(0.0, strength)([W1, W2]))(strengths).tolist() == [0, 1.25, 3.75]


def test_none_says_that_there_is_no_regularization():
    assert NoneConfig().build()([W1]) is None


@pytest.mark.parametrize("weight", [W1, W2])
def test_the_lectures_weights_have_the_same_l1(weight):
    assert L1Config(strength=1.0).build()([weight]) == 1


def test_l1_by_hand():
    weight = torch.tensor([[1.0, -2.0], [0.0, 0.5]], requires_grad=True)
    cost = L1Config(strength=0.1).build()([weight])
    cost.backward()
    assert cost.item() == pytest.approx(0.1 * 3.5)
    np.testing.assert_allclose(weight.grad, 0.1 * np.array([[1, -1], [0, 1]]), rtol=1e-6)


def test_elastic_net_is_a_mean_of_both():
    weight = torch.tensor([[3.0, -1.0]], requires_grad=True)
    cost = ElasticNetConfig(strength=0.1, l1_ratio=0.25).build()([weight])
    cost.backward()
    assert cost.item() == pytest.approx(0.1 * (0.25 * 4 + 0.75 * 10))
    np.testing.assert_allclose(weight.grad, [[0.1 * (0.25 + 0.75 * 6), 0.1 * (-0.25 - 0.75 * 2)]], rtol=1e-6)


@pytest.mark.parametrize("config", [L1Config, ElasticNetConfig])
def test_the_proximal_form_has_the_same_value_and_leaves_l1_out_of_the_gradient(config):
    weight = torch.tensor([[3.0, -1.0]], requires_grad=True)
    plain, proximal = (config(strength=0.1, proximal=p).build()([weight]) for p in (False, True))
    assert proximal.item() == plain.item()
    (proximal + 0 * weight.sum()).backward()
    l2 = 0.05 if config is ElasticNetConfig else 0.0
    np.testing.assert_allclose(weight.grad, [[2 * l2 * 3, -2 * l2]], rtol=1e-6)
    assert config(proximal=True).has_proximal_step
    assert not config().has_proximal_step


def test_the_proximal_step_is_a_soft_threshold():
    weight = torch.tensor([[0.3, -0.05, 0.0, -1.0]])
    shrunk = L1Config(strength=0.5, proximal=True).build().shrink(weight, lr=0.2)  # threshold 0.1
    torch.testing.assert_close(shrunk, torch.tensor([[0.2, 0.0, 0.0, -0.9]]))
    assert shrunk[0, 1] == 0
    for other in (L1Config(), L2Config(), NoneConfig()):
        assert other.build().shrink(weight, lr=0.2) is weight


def test_which_regularizers_make_zeros():
    assert {name: cls().selects for name, cls in options("regularizer").items()} == {
        "none": False, "l1": True, "l2": False, "elastic_net": True,
    }  # fmt: skip
    assert not any(cls().has_proximal_step for cls in options("regularizer").values())


def test_without_a_word_l1_acts_through_the_gradient():
    weight = torch.tensor([[3.0]], requires_grad=True)
    ElasticNet(0.5, 0.0)([weight]).backward()
    assert weight.grad.item() == 0.5


def test_a_regularizer_may_be_one_formula():
    @dataclass(kw_only=True, slots=True)
    class FourthPowersConfig(RegularizerConfig):
        strength: float = 0.5

        def penalty(self, weights):
            return self.strength * sum(weight.pow(4).sum() for weight in weights)

    built = FourthPowersConfig().build()
    assert built([torch.tensor([[1.0, -2.0]]), torch.tensor([[3.0]])]) == 0.5 * (1 + 16 + 81)
    assert built.has_formula is False
