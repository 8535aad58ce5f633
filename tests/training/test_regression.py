import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from deeprob.training.regression import of_numbers


@pytest.mark.parametrize("seed", range(20))
def test_random_problems_as_in_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    runs, count, outputs = rng.integers(1, 4), rng.integers(2, 60), rng.integers(1, 4)
    targets = rng.normal(5, 3, (count, outputs))
    predictions = targets + rng.normal(0, rng.choice([0.1, 5]), (runs, count, outputs))
    deviation = rng.uniform(0.1, 10, outputs)
    found = of_numbers(torch.from_numpy(predictions), torch.from_numpy(targets), torch.from_numpy(deviation))
    for run in range(runs):
        pair = targets * deviation, predictions[run] * deviation
        assert {name: values[run].item() for name, values in found.items()} == pytest.approx(
            {
                "r2": reference.r2_score(*pair),
                "mae": reference.mean_absolute_error(*pair),
                "rmse": reference.root_mean_squared_error(*pair),
            },
            abs=1e-9,
        )


def test_an_output_whose_targets_are_equal_has_no_r2():
    targets = torch.tensor([[0.1, 1.0], [0.1, 2.0], [0.1, 6.0]])
    found = of_numbers(torch.zeros(1, 3, 2), targets)
    assert found["r2"].item() == pytest.approx(1 - 41 / 14)
    assert found["mae"].item() == pytest.approx(1.55)
    assert of_numbers(torch.zeros(1, 3, 1), targets[:, :1])["r2"].isnan().all()
    assert of_numbers(torch.zeros(1, 1, 2), targets[:1])["r2"].isnan().all()


def test_each_run_may_have_its_own_examples():
    rng = torch.Generator().manual_seed(0)
    predictions, targets = torch.randn(3, 9, 2, generator=rng), torch.randn(3, 9, 2, generator=rng)
    together = of_numbers(predictions, targets)
    for run in range(3):
        alone = of_numbers(predictions[run : run + 1], targets[run])
        assert {name: values[run].item() for name, values in together.items()} == {
            name: values.item() for name, values in alone.items()
        }
