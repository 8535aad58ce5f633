import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from deeprob.objective.class_weights import is_valid, scaled_to_mean_1


def test_balanced_by_hand():
    assert scaled_to_mean_1("balanced", torch.tensor([3, 1])).tolist() == pytest.approx([2 / 3, 2])


def test_balanced_agrees_with_scikit_learn():
    targets = np.repeat([0, 1, 2, 3], [50, 7, 1, 300])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=targets)
    np.testing.assert_allclose(scaled_to_mean_1("balanced", torch.from_numpy(np.bincount(targets))), expected)


@pytest.mark.parametrize("weights", ["balanced", [1, 5, 2.5]], ids=str)
def test_the_mean_over_the_training_examples_is_1(weights):
    targets = torch.tensor([0] * 7 + [1] * 2 + [2])
    scaled = scaled_to_mean_1(weights, torch.bincount(targets))
    assert scaled[targets].mean().item() == pytest.approx(1, rel=1e-15)


def test_a_list_keeps_its_ratios():
    # 3·1 + 1·5 = 8 over 4 examples: divided by 2
    assert scaled_to_mean_1([1, 5], torch.tensor([3, 1])).tolist() == [0.5, 2.5]


def test_a_class_without_examples_counts_as_one():
    # the others as without it: 4/(2·3) and 4/(2·1)
    assert scaled_to_mean_1("balanced", torch.tensor([3, 0, 1])).tolist() == pytest.approx([2 / 3, 2, 2])


def test_what_is_accepted():
    assert all(map(is_valid, ["none", "balanced", [1, 2.5], [3]]))
    assert not any(map(is_valid, ["equal", 2, None, [], [0, 1], [-1.0], [float("inf")], [float("nan")], [True], ["1"]]))


def test_sums_of_weights_may_be_less_than_1():
    torch.testing.assert_close(
        scaled_to_mean_1("balanced", torch.tensor([0.3, 0.1])), torch.tensor([2 / 3, 2.0], dtype=torch.float64)
    )
